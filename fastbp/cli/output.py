"""How every command speaks: its result on stdout, notes on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from typing import Any


def show(args: argparse.Namespace, result: Any, text: str) -> None:
    """Print a result: as JSON where ``--json`` asks for it, else as text. JSON has no NaN and no infinity: null."""
    print(json.dumps(json.loads(json.dumps(result), parse_constant=lambda _: None)) if args.json else text)


def note(text: str, name: str = "fastbp") -> None:
    """Print a note on stderr, if that is possible: what is full or closed is no reason to lose a training."""
    with suppress(OSError, ValueError):
        print(f"{name}: {text}", file=sys.stderr, flush=True)

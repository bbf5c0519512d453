"""How every command speaks: its result on stdout, notes on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any


def show(args: argparse.Namespace, result: Any, text: str) -> None:
    """Print a result: as JSON where ``--json`` asks for it, else as text."""
    print(json.dumps(result, allow_nan=False) if args.json else text)


def note(text: str) -> None:
    """Print a note on stderr."""
    print(f"fastbp: {text}", file=sys.stderr)

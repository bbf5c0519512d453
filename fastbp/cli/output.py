"""How every command speaks: its result on stdout, notes on stderr, a data set's unknown name as a usage error."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastbp.cli.parser import UsageError
from fastbp.errors import DataError


def show(args: argparse.Namespace, result: Any, text: str) -> None:
    """Print a result: as JSON where ``--json`` asks for it, else as text."""
    print(json.dumps(result, allow_nan=False) if args.json else text)


def note(text: str) -> None:
    """Print a note on stderr."""
    print(f"fastbp: {text}", file=sys.stderr)


@contextmanager
def known(argument: str) -> Iterator[None]:
    """Turn the complaint about an unknown name into one about ``argument``; what is wrong with files stays as it is."""
    try:
        yield
    except DataError:
        raise
    except ValueError as error:
        raise UsageError(f"argument {argument}: {str(error).partition(': ')[2]}") from error

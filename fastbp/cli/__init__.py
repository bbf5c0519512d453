"""The ``fastbp`` command: results on stdout, progress and notes on stderr, an error in one line.

Exit status 0; 2 for a usage error; 1 for anything else that is wrong; 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import fastbp
from fastbp.cli.commands import COMMANDS, INTERRUPTED
from fastbp.cli.output import note
from fastbp.cli.parser import UsageError, parse
from fastbp.errors import CheckpointError, DataError, MissingExtraError, TrainingDiverged

__all__ = ["main"]

# Their messages say all that a user needs; of any other exception the class does, too.
_PLAIN = (UsageError, DataError, CheckpointError, MissingExtraError, TrainingDiverged)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a ``fastbp`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status.

    Raises
    ------
    SystemExit
        After ``--help`` and ``--version``.

    Examples
    --------
    >>> main(["data", "list", "--json"])  # doctest: +ELLIPSIS
    [{"name": "mnist", ...}]
    0
    """
    for name in "stdout", "stderr":
        if getattr(sys, name) is None:  # closed, as by >&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may have letters that its encoding has not
    try:
        return _run(argv)
    finally:
        for stream in sys.stdout, sys.stderr:
            try:
                stream.flush()
            except OSError:  # what could not be written would be tried again, and complained of, as the process ends
                with suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(argv: Sequence[str] | None) -> int:
    debug, name = False, "fastbp"
    try:
        try:
            args = parse(fastbp.__version__, argv)
            debug, name = args.debug, f"fastbp {args.command}"
            return COMMANDS[args.command](args)
        finally:
            sys.stdout.flush()  # so that a full disk or a reader who has left is noticed here
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return _fail(name, "interrupted", INTERRUPTED, debug)
    except UsageError as error:
        name = error.command or name
        return _fail(name, f"{error} (see {name} --help)", 2, debug)
    except Exception as error:
        return _fail(name, "; ".join([_message(error), *getattr(error, "__notes__", ())]), 1, debug)


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, _PLAIN):
        return str(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _fail(name: str, message: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    note(" ".join(message.split()), name)
    return status

"""How a command ends: its exit status, and the sentence of an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from polystore.cli.escaping import printable
from polystore.core.errors import AlreadyExists, NotFound, UnknownFormat

if TYPE_CHECKING:
    from polystore.core.errors import StorageError

__all__ = ["BAD", "GOOD", "INTERRUPTED", "NOT_BEGUN", "ended_by", "remark", "spoken"]

GOOD, BAD, NOT_BEGUN, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses. 2 is also what argparse gives for a wrong command line, and 130 what shells expect
of a program that Ctrl-C stopped."""


_OF_PYTHON = ("list_files", "Check the root of the config")
"""Parts of advice for what was not found, where a path is what to check here."""

_OTHER_FORMAT = "; a load can also name the format"
"""Where advice about suffixes goes on with what Python can do."""


def ended_by(command: str, error: StorageError, status: int) -> int:
    """Say on standard error what is wrong and what to do, and give the exit status."""
    remark(f"polystore {command}: {spoken(error)}")
    return status


def spoken(error: StorageError) -> str:
    """Give an error in the words of the command line, where its advice is about Python.

    >>> from polystore.core.errors import NotFound
    >>> print(spoken(NotFound("a", None, "Nothing is there.", "See list_files(store).")))
    Nothing is there. Check the path: polystore info says what a folder holds.
    """
    match error:
        case AlreadyExists() if "if_exists" in error.advice:
            return f"{error.message} Add --if-exists replace, or skip to keep what is there."
        case _ if "OmeOptions(axes" in error.advice:
            return f"{error.message} Add --axes, with a name for each axis, such as --axes z,y,x."
        case UnknownFormat() if _OTHER_FORMAT in error.advice:
            return f"{error.message} {error.advice.partition(_OTHER_FORMAT)[0]}."
        case NotFound() if any(it in error.advice for it in _OF_PYTHON):
            return f"{error.message} Check the path: polystore info says what a folder holds."
        case _:
            return str(error)


def remark(text: str) -> None:
    """Print a line on standard error; what a terminal would act on is shown instead."""
    print(printable(text), file=sys.stderr)

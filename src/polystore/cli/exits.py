"""How a command ends: its exit status, and the sentence of an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from polystore.cli.escaping import printable

if TYPE_CHECKING:
    from polystore.core.errors import StorageError

__all__ = ["BAD", "GOOD", "INTERRUPTED", "NOT_BEGUN", "ended_by", "remark"]

GOOD, BAD, NOT_BEGUN, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses. 2 is also what argparse gives for a wrong command line, and 130 what shells expect
of a program that Ctrl-C stopped."""


def ended_by(command: str, error: StorageError, status: int) -> int:
    """Say on standard error what is wrong and what to do, and give the exit status."""
    remark(f"polystore {command}: {error}")
    return status


def remark(text: str) -> None:
    """Print a line on standard error; what a terminal would act on is shown instead."""
    print(printable(text), file=sys.stderr)

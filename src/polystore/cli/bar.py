"""A bar on the terminal, where there is one; nothing else is said through it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["bar"]


@contextmanager
def bar(what: str, total: int) -> Generator[Callable[[int], None]]:
    """Show on standard error how far a job is; give what adds to that, from any thread.

    Nothing is shown unless that is a terminal and `rich` is there.

    >>> with bar("copying", 3) as advance:
    ...     advance(3)
    """
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed
        from rich.progress import TimeRemainingColumn as Remaining
    except ImportError:
        yield _nothing
        return
    if not sys.stderr.isatty():
        yield _nothing
        return
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), Elapsed(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        job = shown.add_task("", total=total)
        yield lambda done: shown.advance(job, done)


def _nothing(_done: int) -> None:
    """Count for nobody."""

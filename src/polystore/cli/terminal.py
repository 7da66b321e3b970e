"""The terminal: what is shown there while one waits, and nothing of it where there is none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["console", "progress", "waiting"]


def console(*, stderr: bool = False) -> Console:
    """Give a console that prints text as it is: a name such as `[red].tif` is no markup."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


@contextmanager
def waiting(what: str) -> Generator[None]:
    """Say on standard error, while the block runs, what one is waiting for."""
    to = console(stderr=True)
    if not to.is_terminal:
        yield
        return
    with to.status(what):
        yield


@contextmanager
def progress(total: int) -> Generator[Callable[[], None]]:
    """Show a bar on standard error while the block runs; give what counts one image as done."""
    to = console(stderr=True)
    with Progress(
        TextColumn("moving and comparing"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=to,
        transient=True,
        disable=not to.is_terminal,
    ) as bar:
        job = bar.add_task("", total=total)
        yield lambda: bar.advance(job)

"""Silence while a codec runs: what libraries would log is said by the error that it gives.

tifffile and imagecodecs report damage through `logging`, which prints it on stderr where nobody
has set logging up, and neither has an option against it. Levels, handlers and `propagate` of their
loggers belong to the program; changing them for the time of a call would race with other threads.
So a filter is added to each of the two loggers, once and for good, which drops a record only while
a codec runs in the same thread or task. What the program does with these libraries itself is
logged as ever.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["quiet"]

_LOGGERS = ("imagecodecs", "tifffile")

_QUIET: ContextVar[bool] = ContextVar("_QUIET", default=False)


def _is_wanted(_record: logging.LogRecord, /) -> bool:
    return not _QUIET.get()


@contextmanager
def quiet() -> Generator[None]:
    """Drop what tifffile and imagecodecs log inside the block, in this thread or task only.

    >>> with quiet():
    ...     logging.getLogger("tifffile").error("never seen")
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_wanted)  # adds it once
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)

"""A decoder that is watched: what it says, how long it takes, and how much memory it asks for."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import tracemalloc
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from types import FrameType
from typing import TypeVar

from attrs import frozen

from polystore.core.outcome import Outcome
from polystore.core.records import Codec, Decoded, Limits, Readable, readable_of

__all__ = ["SECONDS", "Watched", "watched_decode"]

T = TypeVar("T")

SECONDS = 2.0
"""Of the processor's time: what no decode of a small file takes, even where it imports a library
for the first time."""

_MOST_READS = 20_000
"""How often a decoder may read from a small file."""


class _Endless(BaseException):
    """Raised inside a decoder that does not end: none of what it catches."""


@frozen
class Watched:
    """What a decoder gave; what it printed, logged or warned; the most bytes that it held.

    `peak` is what Python's memory tracing saw: what libraries allocate in C, it does not.
    """

    outcome: Outcome[Decoded[object]]
    said: str
    peak: int


def watched_decode(codec: Codec[object], content: bytes, limits: Limits) -> Watched:
    """Decode; raise what the decoder raises, and `AssertionError` if it does not end.

    >>> from polystore.formats.npy import NPY_CODEC
    >>> watched = watched_decode(NPY_CODEC, b"", Limits())
    >>> print(watched.outcome.failure().message, repr(watched.said))
    This is no .npy file: it is empty. ''
    """
    source = _counted(content)
    with _heard() as said:
        outcome, peak = _traced(lambda: _ended(lambda: codec.decode(source, limits)))
    return Watched(outcome, said.getvalue(), peak)


def _counted(content: bytes) -> Readable:
    """Give the bytes as what a store hands to a codec, that ends one who reads for ever."""
    left, source = _MOST_READS, readable_of(content)

    def read_into(offset: int, buffer: memoryview, /) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise _Endless
        return source.read_into(offset, buffer)

    return Readable(source.size, read_into, source.close)


def _ended(action: Callable[[], T]) -> T:
    """Do it within `SECONDS`, which only the main thread can be held to."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _Endless

    try:
        if threading.current_thread() is not threading.main_thread():
            return action()
        before = signal.signal(signal.SIGVTALRM, stop)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            return action()
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
    except _Endless:
        raise AssertionError("decode does not end") from None


def _traced(action: Callable[[], T]) -> tuple[T, int]:
    """Give also how many bytes were held at most, beyond those before."""
    traced_already = tracemalloc.is_tracing()
    if not traced_already:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        result = action()
        _, peak = tracemalloc.get_traced_memory()
        return result, peak - before
    finally:
        if not traced_already:
            tracemalloc.stop()


class _Recorder(logging.Handler):
    """Writes what is logged, at the level of a warning or above, into a text."""

    def __init__(self, said: StringIO) -> None:
        super().__init__(logging.WARNING)
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.said.write(f"logged: {record.getMessage()}\n")


@contextmanager
def _heard() -> Generator[StringIO]:
    """Give what is printed, logged and warned within, from C too."""
    said = StringIO()
    recorder = _Recorder(said)
    logging.getLogger().addHandler(recorder)
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            _descriptors(said),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            warnings.simplefilter("always")
            # Of what others left open: it is told whenever their garbage is collected.
            warnings.simplefilter("ignore", ResourceWarning)
            yield said
        said.seek(0, os.SEEK_END)
        said.writelines(f"warned: {each.message}\n" for each in warned)
    finally:
        logging.getLogger().removeHandler(recorder)


@contextmanager
def _descriptors(said: StringIO) -> Generator[None]:
    """Add what is written to the descriptors of stdout and stderr."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with tempfile.TemporaryFile() as file:
        kept = [os.dup(number) for number in (1, 2)]
        try:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
            yield
        finally:
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
        file.seek(0)
        said.write(file.read().decode(errors="replace"))

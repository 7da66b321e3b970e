"""Ctrl-C as a question that is asked between two images, not as an exception out of nowhere."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

__all__ = ["asked_to_stop"]

NOTICE = "Stopping after this image. Ctrl-C again stops at once."


@contextmanager
def asked_to_stop(notice: str = NOTICE) -> Generator[Callable[[], bool]]:
    """Give, for the block, what tells whether Ctrl-C was pressed; a second one raises as usual.

    The first one is answered by the notice, on standard error.

    Python's `KeyboardInterrupt` comes up wherever the program is. In a callback that the garbage
    collector makes (JAX has one) it is printed and forgotten, and after one in the middle of an
    import the interpreter may crash as it ends: both happen to one in ten. Where the signal is
    ignored, or the caller handles it, or outside the main thread, nothing is changed.

    >>> with asked_to_stop() as stopping:
    ...     stopping()
    False
    """
    pressed, said = threading.Event(), f"{notice}\n".encode()

    def note(signum: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            signal.default_int_handler(signum, frame)
        pressed.set()
        os.write(2, said)  # a print could interrupt another in the middle

    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield pressed.is_set
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

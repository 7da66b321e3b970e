"""The locks of keys in a memory store: no object is kept for a key whose lock nobody holds."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

from polystore.backends.memory.handle import Memory
from polystore.core.errors import LockTimeout
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success

__all__ = ["lock_key"]


class _Held:
    """A lock that is held until the end of its block, or until nobody has it any more."""

    __slots__ = ("_key", "_memory")

    def __init__(self, memory: Memory, key: Key) -> None:
        self._memory = memory
        self._key: Key | None = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_exception: object) -> None:
        # The condition's lock may be taken again by the thread that has it, as where this object
        # is collected while that thread waits.
        with self._memory.let_go:
            key, self._key = self._key, None
            if key is not None:
                self._memory.held.discard(key)
                self._memory.let_go.notify_all()

    __del__ = __exit__


def lock_key(memory: Memory, key: Key, seconds: float, /) -> Outcome[AbstractContextManager[None]]:
    """Give the lock of a key, held; `LockTimeout` after so many seconds.

    Threads exclude each other, and a thread itself, too: the lock is not taken twice.
    """
    longest = min(seconds, threading.TIMEOUT_MAX) if seconds > 0 else 0
    with memory.let_go:
        if memory.let_go.wait_for(lambda: key not in memory.held, longest):
            memory.held.add(key)
            return Success(_Held(memory, key))
    return Failure(
        LockTimeout(
            key,
            memory.config,
            f"The lock of {key!r} was held by another for {seconds:g} seconds.",
            "Wait longer, with timeout=..., or look for who holds it.",
        )
    )

"""What other threads do: actions at once, and actions in the midst of a save."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import field, frozen

from polystore.core.outcome import Outcome, Success
from polystore.core.payload import ArraySpec, HostArray, LazyArray, Region, is_host_array

if TYPE_CHECKING:
    from polystore.core.payload import Payload

__all__ = [
    "GLANCE_S",
    "PATIENCE_S",
    "SHORT_GLANCE_S",
    "TURNS_OF_REPLAY",
    "Work",
    "at_once",
    "interrupted",
    "meanwhile",
    "started",
    "switching",
]

T = TypeVar("T")

PATIENCE_S = 30.0
"""Seconds after which what has not ended counts as never ending: no law depends on less."""

TURNS = 30
"""How often each of two threads acts beside the other."""

TURNS_MAX = 2000
"""How often one acts at most, where the other comes to nothing."""

SWITCH_S = 1e-5
"""Seconds between two changes of threads, as short as they get."""

GLANCE_S = 0.2
"""Seconds that a save waits for what looks at it: a store may let nobody look before it ends."""

SHORT_GLANCE_S = 0.02
"""The same, where a save is looked at many times."""

TURNS_OF_REPLAY = 50
"""How often the replay of a law of threads tries its example."""


@frozen(eq=False)
class Work(Generic[T]):
    """An action in a thread of its own."""

    thread: threading.Thread
    found: list[T]
    raised: list[Exception]

    def glance(self, seconds: float = GLANCE_S) -> None:
        """Wait a little, and go on whether or not it has ended."""
        self.thread.join(seconds)

    def result(self, what: str) -> T:
        """Give what the action gave; what it raised is raised here."""
        self.thread.join(PATIENCE_S)
        if self.thread.is_alive():
            raise AssertionError(f"{what} did not end within {PATIENCE_S:g} seconds")
        for exception in self.raised:
            raise exception
        return self.found[0]


def started(action: Callable[[], T]) -> Work[T]:
    """Start an action in a thread of its own.

    >>> started(lambda: 1 + 1).result("adding")
    2
    """
    found: list[T] = []
    raised: list[Exception] = []

    def work() -> None:
        try:
            found.append(action())
        except Exception as exception:  # noqa: BLE001 - it is raised where the result is asked for
            raised.append(exception)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return Work(thread, found, raised)


@contextmanager
def switching() -> Generator[None]:
    """Let the interpreter change from thread to thread as often as it can, within the block."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def meanwhile(action: Callable[[], None], what: str) -> Generator[Iterator[int]]:
    """Do something again and again in another thread, from before the block until its end.

    Gives the turns of the block: as many as are needed for `TURNS` of its own and of the action.

    >>> with meanwhile(lambda: None, "doing nothing") as turns:
    ...     print(len(list(turns)) >= TURNS)
    True
    """
    begun, over, ended = threading.Event(), threading.Event(), list[int]()

    def work() -> None:
        try:
            while not over.is_set():
                action()
                ended.append(1)
                begun.set()
        finally:
            begun.set()

    with switching():
        working = started(work)
        begun.wait(PATIENCE_S)

        def turns() -> Iterator[int]:
            for turn in range(TURNS_MAX):
                enough = len(ended) >= TURNS or not working.thread.is_alive()
                if turn >= TURNS and enough:
                    return
                yield turn

        try:
            yield turns()
        finally:
            over.set()
        working.result(what)


def at_once(actions: Sequence[Callable[[], T]], what: str) -> list[T]:
    """Run actions in threads that begin together, and give their results in order.

    >>> at_once([lambda: 1, lambda: 2], "counting")
    [1, 2]
    """
    barrier = threading.Barrier(len(actions))

    def together(action: Callable[[], T]) -> Callable[[], T]:
        def waited() -> T:
            barrier.wait(PATIENCE_S)
            return action()

        return waited

    with switching():
        return [work.result(what) for work in [started(together(action)) for action in actions]]


@frozen(eq=False)
class _Once:
    """Calls an action the first time only."""

    action: Callable[[], None]
    called: list[bool] = field(factory=list[bool])

    def __call__(self) -> None:
        if not self.called:
            self.called.append(True)
            self.action()


def interrupted(payload: Payload, action: Callable[[], None]) -> LazyArray | None:
    """Give an array as a lazy one, that does something when its second block is read.

    `None` for what is no array, or has not two rows: it cannot be saved in two parts.
    """
    if not is_host_array(payload) or payload.ndim == 0 or payload.shape[0] < 2:
        return None
    array, once = payload, _Once(action)

    def read(region: Region) -> Outcome[HostArray]:
        if region[0].stop == array.shape[0]:
            once()
        return Success(array[region].copy())

    blocks = (1, *array.shape[1:])
    return LazyArray(ArraySpec(array.shape, array.dtype.str, (), blocks), read)

"""Whether the items of a batch go to threads, or one by one in the caller's thread."""

from __future__ import annotations

from math import inf

from attrs import frozen

__all__ = ["FEW", "LONG", "WORTH", "Pace", "Stint"]

FEW = 4
"""Items that are tried in the caller's thread."""

LONG = 5e-3
"""Seconds per item in threads, beyond which it is not the threads that slow it down."""

WORTH = 1.25
"""How many times faster threads must be: less is noise."""


@frozen
class Stint:
    """What a batch spent on the items since it took the way that it goes."""

    items: int = 0
    seconds: float = 0.0
    longest: float = 0.0

    def plus(self, seconds: float) -> Stint:
        """Give the stint with one item more."""
        return Stint(self.items + 1, self.seconds + seconds, max(self.longest, seconds))

    @property
    def mean(self) -> float:
        """Seconds per item; of many without the longest, which may have waited for an import."""
        if self.items < FEW:
            return self.seconds / self.items
        return (self.seconds - self.longest) / (self.items - 1)


@frozen
class Pace:
    """Which way the next items of a batch go: in threads, or one by one in the caller's thread.

    Threads speed up what waits, or lets go of Python's lock, and slow down what is short or holds
    it; nobody knows before. A batch begins in threads, tries the other way on a few items, and goes
    on in threads where they are `WORTH` it. The next trial of the other way is after `patience`
    items, twice as many each time, and sooner where items begin to take longer than they took in
    threads. `other` is the seconds per item when last gone the other way.

    >>> pace, stint = Pace(workers=2), Stint()
    >>> for _ in range(8):
    ...     pace, stint = pace.after(stint.plus(1e-3))
    >>> pace.in_threads, pace.on_trial
    (False, True)
    """

    workers: int
    in_threads: bool = True
    on_trial: bool = False
    patience: int = 8
    other: float = inf

    @property
    def limit(self) -> int:
        """How many items go this way before it is compared with the other one."""
        few = 4 * self.workers if self.in_threads else FEW
        return few if self.on_trial else max(self.patience, few)

    def after(self, stint: Stint) -> tuple[Pace, Stint]:
        """Give the way of the next items, and the stint that they add to."""
        least = self.other / WORTH if self.in_threads else self.other * WORTH
        slower = not self.in_threads and stint.seconds > max(stint.items, FEW) * least
        if stint.items < self.limit and not slower:
            return self, stint
        stays = self.in_threads and stint.mean > LONG
        if stays or (self.on_trial and not slower and stint.mean <= least):
            patience = self.patience if stays else 16 * self.workers
            return Pace(self.workers, self.in_threads, False, patience, self.other), Stint()
        patience = 2 * self.patience if self.on_trial else self.patience
        return Pace(
            self.workers, not self.in_threads, not self.on_trial, patience, stint.mean
        ), Stint()

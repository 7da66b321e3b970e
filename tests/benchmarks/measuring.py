"""Times and tables: what a row of the benchmarks is, and how one is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

MB = 2**20


@frozen
class Row:
    """One line of the table."""

    what: str
    ours: str
    theirs: str
    result: str
    bound: str
    met: bool


@frozen
class Rounds:
    """How often each side of a comparison runs, and how many calls one time is taken over."""

    rounds: int
    calls: int = 1


def seconds(action: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        action()
    return (time.perf_counter() - start) / calls


def fastest(
    ours: Callable[[], object], theirs: Callable[[], object], how: Rounds
) -> tuple[float, float]:
    """Give the fastest time of each side, measured in turns."""
    ours()
    theirs()
    times = [(seconds(ours, how.calls), seconds(theirs, how.calls)) for _ in range(how.rounds)]
    return min(a for a, _ in times), min(b for _, b in times)


def in_words(value: float) -> str:
    return f"{value * 1e6:.1f} µs" if value < 1e-3 else f"{value * 1e3:.1f} ms"


def ratio(what: str, times: tuple[float, float], bound: float | None) -> Row:
    a, b = times
    words = "noise" if bound is None else f"at most {bound:.2f}x"
    return Row(
        what, in_words(a), in_words(b), f"{a / b:.2f}x", words, bound is None or a <= bound * b
    )


def extra(what: str, times: tuple[float, float], bound: float) -> Row:
    a, b = times
    over = (a - b) * 1e6
    return Row(
        what,
        in_words(a),
        in_words(b),
        f"{over:+.1f} µs",
        f"at most +{bound * 1e6:.0f} µs",
        a <= b + bound,
    )


class Fresh:
    """Names of files that are new for each call; the one before is removed."""

    def __init__(self, folder: Path, suffix: str) -> None:
        """Begin at zero."""
        self.folder, self.suffix, self.count = folder, suffix, 0

    def __call__(self) -> Path:
        """Give the next name."""
        (self.folder / f"{self.count}{self.suffix}").unlink(missing_ok=True)
        self.count += 1
        return self.folder / f"{self.count}{self.suffix}"

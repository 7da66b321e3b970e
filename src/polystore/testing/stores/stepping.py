"""Lines of a function: what stands between two of them may come between a look and an act."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Protocol, TypeVar, cast

from attrs import field, fields, frozen

from polystore.core.registry import Record

__all__ = ["LINES_MAX", "stopped_at"]

T = TypeVar("T")

LINES_MAX = 150
"""Lines of a save at which it is stopped, at most."""


class _Tracer(Protocol):
    def __call__(self, frame: FrameType, event: str, _argument: object, /) -> _Tracer | None: ...


def stopped_at(
    function: Callable[[], T], line: int, action: Callable[[], None], record: Record
) -> T:
    """Run a function, and do something before one of the lines that it runs, by its number.

    Lines count at their first run, and only those of the packages that the record's functions are
    of. If it runs fewer lines, nothing is done. Not for the main thread, where a debugger or a
    measure of coverage traces: the thread is not traced by them for that long.
    """
    stop = _Stop(line, action, _packages_of(record))
    before = sys.gettrace()
    sys.settrace(stop.calls)
    try:
        return function()
    finally:
        sys.settrace(before)


@frozen(eq=False)
class _Stop:
    """What is called for each call and each line."""

    line: int
    action: Callable[[], None]
    packages: frozenset[str]
    seen: set[tuple[CodeType, int]] = field(factory=set[tuple[CodeType, int]])

    def calls(self, frame: FrameType, _event: str, _argument: object, /) -> _Tracer | None:
        """Follow the lines of a call, if it is of the record's packages."""
        name: object = frame.f_globals.get("__name__", "")
        return self.lines if str(name).partition(".")[0] in self.packages else None

    def lines(self, frame: FrameType, event: str, _argument: object, /) -> _Tracer | None:
        """Count a line, and act at the one."""
        place = (frame.f_code, frame.f_lineno)
        if event == "line" and place not in self.seen:
            self.seen.add(place)
            if len(self.seen) == self.line + 1:
                self.action()
        return self.lines


def _packages_of(record: Record) -> frozenset[str]:
    functions = (cast("object", getattr(record, it.name)) for it in fields(type(record)))
    modules = (getattr(each, "__module__", None) for each in functions if callable(each))
    return frozenset(str(name).partition(".")[0] for name in modules if name)

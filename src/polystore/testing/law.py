"""A law: a sentence about every record of a kind, the examples that it is tried on, and the trial.

A law is checked on many small examples that hypothesis draws. They are the same in every run, so
that what fails once fails always. A law that is broken says which, with the smallest example that
breaks it and the code that tries just that one again.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import TypeAlias

from attrs import field, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from polystore.core.registry import Record
from polystore.testing.home import home_of

__all__ = ["Law", "LawBroken", "Make", "any_record", "no_config"]

Make: TypeAlias = Callable[[], object]
"""Gives a config of a store that is new and empty, another one at each call."""

_NO_ALARMS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


class LawBroken(AssertionError):
    """A law does not hold: which, what was seen, the smallest example, and how to try it again."""


def no_config() -> object:
    """Stand for the maker where none is needed: formats and frameworks have no configs."""
    return None


def any_record(_record: Record, /) -> bool:
    """Say that a law speaks of every record with the fields that it needs."""
    return True


@frozen
class _Seen:
    """An example that broke the law, and the exception that said so, with its own traceback.

    Whoever raises an exception further adds to its traceback: hypothesis adds a hundred lines.
    """

    example: object
    exception: Exception
    traceback: TracebackType | None

    def cause(self) -> Exception | None:
        """Give what `LawBroken` is raised from; what a law itself said is all in the text."""
        if type(self.exception) is AssertionError:
            return None
        return self.exception.with_traceback(self.traceback)


@frozen
class Law:
    """A named law. `str(law)` is its name.

    - `name`: what holds, as a sentence that says enough when it does not.
    - `needs`: the fields of a record that must be there for the law to mean something.
    - `examples`: what it is tried on. An example's `repr` is code that makes it.
    - `holds(record, make, example)`: raises `AssertionError`, with what was seen, if it does not.
    - `share`: of the examples that hypothesis is set to try, what part is enough, for laws whose
      examples are slow.
    - `fits(record)`: whether the law says something about a record that has those fields.
    - `turns`: how often `replay` tries an example, for laws of threads, which may hold by chance.

    >>> from polystore.testing import law_named
    >>> str(law_named("a store holds something"))
    'a store holds something'
    """

    name: str
    needs: tuple[str, ...]
    examples: st.SearchStrategy[object] = field(repr=False)
    holds: Callable[[Record, Make, object], None] = field(repr=False)
    share: float = 1.0
    fits: Callable[[Record], bool] = field(default=any_record, repr=False)
    turns: int = 1

    def __str__(self) -> str:
        """Give the name."""
        return self.name

    def check(
        self, record: Record, make: Make = no_config, max_examples: int | None = None
    ) -> None:
        """Try the law on a record; raise `LawBroken` if it does not hold.

        `make` gives configs of new, empty stores; formats and frameworks need none. The number of
        examples is at most `max_examples`, or that of hypothesis's settings.
        """
        __tracebackhide__ = True
        failed: list[_Seen] = []

        def trial(example: object) -> None:
            __tracebackhide__ = True
            try:
                self.holds(record, make, example)
            except Exception as exception:
                failed[:] = [_Seen(example, exception, exception.__traceback__)]
                raise

        most = settings().max_examples if max_examples is None else max_examples
        how = settings(
            max_examples=max(int(most * self.share), 1),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=_NO_ALARMS,
        )
        try:
            how(given(self.examples)(trial))()
        except Exception as raised:  # noqa: BLE001 - whatever a record raises breaks the law
            # Hypothesis tries the smallest example last. Where that did not fail again (a race),
            # the one that did is told.
            seen = failed[-1] if failed else None
            told = self._told(record, make, seen) if seen else f"{self.name}\n\nno trial: {raised}"
            raise LawBroken(told) from (seen.cause() if seen else raised)

    def replay(self, record: Record, make: Make, example: object) -> None:
        """Try the law on one example: the line that a `LawBroken` shows.

        A law of threads is tried `turns` times. Where it holds, that is printed.
        """
        __tracebackhide__ = True
        for _ in range(self.turns):
            try:
                self.holds(record, make, example)
            except Exception as exception:  # noqa: BLE001 - whatever a record raises breaks the law
                seen = _Seen(example, exception, exception.__traceback__)
                raise LawBroken(self._told(record, make, seen)) from seen.cause()
        tried = f" (tried {self.turns} times)" if self.turns > 1 else ""
        sys.stdout.write(f"{self.name}: it held this time{tried}\n")

    def _told(self, record: Record, make: Make, seen: _Seen) -> str:
        home = home_of(record, make)
        code = (
            "from polystore.testing import *",
            *home.imports,
            f"law_named({self.name!r}).replay({home.record}, {home.make}, {seen.example!r})",
        )
        return (
            f"{self.name}\n\n"
            f"seen: {_words(seen.exception)}\n"
            f"smallest example: {seen.example!r}\n\n"
            "To try it again:\n\n" + "".join(f"    {line}\n" for line in code)
        )


def _words(exception: Exception) -> str:
    """Give what a law saw; of what a record raised, also what and where."""
    if type(exception) is AssertionError:
        return str(exception)
    where = traceback.extract_tb(exception.__traceback__)[-1:]
    place = "".join(f", in {it.name} ({it.filename}:{it.lineno})" for it in where)
    return f"it raised {type(exception).__name__}: {exception}{place}"

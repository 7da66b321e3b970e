"""A law: a sentence about every record of a kind, the examples that it is tried on, and the trial.

A law is checked on many small examples that hypothesis draws. They are the same in every run, so
that what fails once fails always. A law that is broken says which, with the smallest example that
breaks it and the code that tries just that one again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import field, frozen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from polystore.core.registry import Record

__all__ = ["Law", "LawBroken", "Make", "no_config"]

Make: TypeAlias = Callable[[], object]
"""Gives a config of a store that is new and empty, another one at each call."""


class LawBroken(AssertionError):
    """A law does not hold: which, what was seen, the smallest example, and how to try it again."""


def no_config() -> object:
    """Stand for the maker where none is needed: formats and frameworks have no configs."""
    return None


@frozen
class Law:
    """A named law. `str(law)` is its name.

    - `name`: what holds, as a sentence that says enough when it does not.
    - `needs`: the fields of a record that must be there for the law to mean something.
    - `examples`: what it is tried on. An example's `repr` is code that makes it.
    - `holds(record, make, example)`: raises `AssertionError`, with what was seen, if it does not.
    - `share`: of the examples that hypothesis is set to try, what part is enough, for laws whose
      examples are slow.
    """

    name: str
    needs: tuple[str, ...]
    examples: st.SearchStrategy[object] = field(repr=False)
    holds: Callable[[Record, Make, object], None] = field(repr=False)
    share: float = 1.0

    def __str__(self) -> str:
        """Give the name."""
        return self.name

    def check(self, record: Record, make: Make = no_config) -> None:
        """Try the law on a record; raise `LawBroken` if it does not hold.

        `make` gives configs of new, empty stores; formats and frameworks need none. The number of
        examples is that of hypothesis's settings.
        """
        tried: list[object] = []

        def trial(example: object) -> None:
            tried[:] = [example]
            self.holds(record, make, example)

        how = settings(
            max_examples=max(int(settings().max_examples * self.share), 1),
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=(
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ),
        )
        try:
            how(given(self.examples)(trial))()
        except Exception as seen:
            raise LawBroken(self._told(record, make, tried[-1:], seen)) from seen

    def replay(self, record: Record, make: Make, example: object) -> None:
        """Try the law on one example: the line that a `LawBroken` shows."""
        try:
            self.holds(record, make, example)
        except Exception as seen:
            raise LawBroken(self._told(record, make, [example], seen)) from seen

    def _told(self, record: Record, make: Make, tried: list[object], seen: Exception) -> str:
        example = repr(tried[0]) if tried else "(none could be drawn)"
        home = _home(record, make)
        known = f"from {home.module} import {', '.join(home.names)}" if home.names else ""
        needed = f", {home.make}" if home.make else ""
        return (
            f"{self.name}\n\n"
            f"seen: {type(seen).__name__}: {seen}\n"
            f"smallest example: {example}\n\n"
            "To try it again:\n\n"
            "    from polystore.testing import *\n"
            f"    {known}\n"
            f"    law_named({self.name!r}).replay({home.record}{needed}, {example})\n"
        )


@frozen
class _Home:
    """Where code finds a record and its maker: the module, and their names in it."""

    module: str
    record: str
    make: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names to import, as far as they are known."""
        return tuple(name for name in (self.record, self.make) if name and self.module)


def _home(record: Record, make: Make) -> _Home:
    raise NotImplementedError

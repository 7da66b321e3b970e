"""What is said of the maker, and of listings that are not as they should be."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from attrs import frozen

from polystore.core.records import Backend, ByteStore
from polystore.core.registry import Record
from polystore.testing.expect import expect
from polystore.testing.law import Make

__all__ = ["OneConfig", "expect_other_configs", "told_of_listing"]

_SHOWN = 5
"""Keys that are shown of many."""


@frozen(eq=False)
class OneConfig:
    """A maker that gives the one config again: that of a store which is another's already."""

    config: object

    def __call__(self) -> object:
        """Give the config."""
        return self.config


@lru_cache(maxsize=64)
def expect_other_configs(record: Record, make: Make) -> None:
    """Expect another config at each call of the maker, once for each maker.

    A store that is only read is left as it is, and may be the same each time.
    """
    __tracebackhide__ = True
    saves = (isinstance(record, Backend) and record.save is not None) or (
        isinstance(record, ByteStore) and record.put is not None
    )
    if isinstance(make, OneConfig) or not saves:
        return
    one, other = make(), make()
    expect(
        one != other,
        f"the maker gave {one!r} twice: it has to give, at each call, another config, of a store "
        "that is new and empty",
    )


def told_of_listing(found: Collection[str], wanted: Collection[str], when: str = "") -> str:
    """Say in what a listing differs from what it should be.

    >>> told_of_listing({"a", "c"}, {"a", "b"}, " after a move")
    "not listed after a move: ['b']; listed, and not there: ['c']"
    """
    missing, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    parts = [f"not listed{when}: {_some(missing)}"] if missing else []
    parts += [f"listed{'' if missing else when}, and not there: {_some(more)}"] if more else []
    return "; ".join(parts)


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{keys[:_SHOWN]}{more}"

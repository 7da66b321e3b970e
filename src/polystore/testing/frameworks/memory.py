"""The laws of frameworks that speak of memory: whose it is, and who sees a write to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np

from polystore.core.outcome import Outcome, is_successful
from polystore.core.records import Framework, Transfer
from polystore.testing.arrays import ArrayExample
from polystore.testing.expect import done, expect
from polystore.testing.frameworks.arrays import (
    CAST,
    COPIED,
    FREE,
    SHARED,
    host,
    on_host,
    same,
    taken,
    write_into,
)

if TYPE_CHECKING:
    from polystore.core.payload import HostArray

__all__ = [
    "arrives_by_dlpack",
    "copies_when_told",
    "is_placed",
    "shares_when_told",
    "shares_where_it_can",
    "source_unchanged",
]


def shares_when_told(framework: Framework[object], example: ArrayExample) -> None:
    """Expect that `copy=False` shares memory both ways, or is refused."""
    array = host(example)
    there = framework.from_host(array, SHARED)
    if taken(there, f"from_host of {example} under copy=False"):
        write_into(array, example)  # before it is read: what was read may be kept
        same(array, on_host(framework, there.unwrap()), "a write to the shared array does not show")
        seen = framework.to_host(framework.from_host(array, SHARED).unwrap(), SHARED)
        if taken(seen, "to_host under copy=False") and array.nbytes:
            expect(_address(seen.unwrap()) == _address(array), "from_host copied under copy=False")
    free = framework.from_host(host(example), FREE)
    if is_successful(free):
        first, second = (framework.to_host(free.unwrap(), SHARED) for _ in range(2))
        both = [taken(it, "to_host under copy=False") for it in (first, second)]
        if all(both) and first.unwrap().nbytes:
            at_one_place = _address(first.unwrap()) == _address(second.unwrap())
            expect(at_one_place, "to_host copied under copy=False: each call gives other memory")


def _address(array: HostArray) -> int:
    return array.ctypes.data


def copies_when_told(framework: Framework[object], example: ArrayExample) -> None:
    """Expect that `copy=True` shares memory neither way."""
    array = host(example)
    there = framework.from_host(array, COPIED)
    if not taken(there, f"from_host of {example} under copy=True"):
        return
    value = there.unwrap()
    before = on_host(framework, value).copy()
    apart = not np.may_share_memory(on_host(framework, value), array)
    expect(apart or not array.nbytes, "from_host shares memory under copy=True")
    write_into(array, example)
    same(before, on_host(framework, value), "a write to the source shows under copy=True")
    own = done(framework.to_host(value, COPIED), "to_host under copy=True")
    same(before, own, "to_host under copy=True changed it")
    apart = not np.may_share_memory(on_host(framework, value), own)
    expect(apart or not array.nbytes, "to_host shares memory under copy=True")
    write_into(own, example)
    same(before, on_host(framework, value), "a write to the copy shows under copy=True")


def shares_where_it_can(framework: Framework[object], example: ArrayExample) -> None:
    """Expect that `copy=None` shares just where `copy=False` is granted."""
    array = host(example)
    there = framework.from_host(array, FREE)
    granted = is_successful(framework.from_host(array, SHARED))
    if not is_successful(there) or not array.nbytes:
        return
    seen = framework.to_host(there.unwrap(), SHARED)
    if is_successful(seen):
        shares = _address(seen.unwrap()) == _address(array)
        words = "granted" if granted else "refused"
        expect(shares == granted, f"copy=False is {words}, and copy=None shares is {shares}")


def source_unchanged(framework: Framework[object], example: ArrayExample) -> None:
    """Expect the array, its flags and its strides as they were, whatever was asked."""
    array, original = host(example), host(example)
    flags, strides = str(array.flags), array.strides
    for transfer in (FREE, SHARED, COPIED, CAST):
        there = framework.from_host(array, transfer)
        if is_successful(there):
            value = there.unwrap()
            for back in (FREE, SHARED, COPIED):
                framework.to_host(value, back)
            if framework.place is not None:
                framework.place(value, transfer)
        same(original, array, f"{transfer} changed the array")
        expect(str(array.flags) == flags, f"{transfer} changed the flags: {array.flags}")
        expect(array.strides == strides, f"{transfer} changed the strides: {array.strides}")


def arrives_by_dlpack(framework: Framework[object], example: ArrayExample) -> None:
    """Expect the same bits by DLPack, shared or copied as asked, or an error."""
    take = cast("Callable[[object, Transfer], Outcome[object]]", framework.from_dlpack)
    for transfer in (FREE, SHARED, COPIED):
        array = host(example)
        there = take(array, transfer)
        if taken(there, f"from_dlpack of {example} with {transfer}"):
            value = there.unwrap()
            expect(framework.owns(value) is True, "what from_dlpack gave is not its own")
            same(array, on_host(framework, value), "from_dlpack changed it")
            before = host(example)
            write_into(array, example)
            if transfer.copy is not None:
                expected = before if transfer.copy else array
                same(expected, on_host(framework, value), f"after a write, with {transfer}")


def is_placed(framework: Framework[object], example: ArrayExample) -> None:
    """Expect the same bits where `place` puts them, shared or copied as asked."""
    place = cast("Callable[[object, Transfer], Outcome[object]]", framework.place)
    array = host(example)
    there = framework.from_host(array, FREE)
    if not is_successful(there):
        return
    for transfer in (FREE, SHARED, COPIED):
        value = there.unwrap()
        placed = place(value, transfer)
        if taken(placed, f"place with {transfer}"):
            expect(framework.owns(placed.unwrap()) is True, "what place gave is not its own")
            at, now = on_host(framework, value), on_host(framework, placed.unwrap())
            same(array, now, f"place with {transfer} changed it")
            if transfer.copy is not None and at.nbytes:
                expect(np.may_share_memory(at, now) != transfer.copy, f"shared, against {transfer}")

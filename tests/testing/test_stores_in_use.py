"""What breaks with several keys, handles or threads is caught; what is only odd keeps the laws."""

from __future__ import annotations

import pytest
from broken_in_use import BROKEN_IN_USE
from broken_stores import Broken
from odd_stores import ODD_ITEMS, WRITTEN_ONCE_BYTES, WRITTEN_ONCE_IN_MEMORY
from plain_stores import new_dict, new_items
from store_makers import new_memory

from polystore.core.registry import StoreRecord
from polystore.testing import Law, LawBroken, law_named, laws_for
from polystore.testing.law import Make
from polystore.testing.stores import elsewhere

ODD: tuple[tuple[str, StoreRecord, Make], ...] = (
    ("bytes are written once", WRITTEN_ONCE_BYTES, new_dict),
    ("memory is written once", WRITTEN_ONCE_IN_MEMORY, new_memory),
    *((name, record, new_items) for name, record in ODD_ITEMS.items()),
)


@pytest.mark.parametrize(
    ("record", "make", "law"),
    [
        pytest.param(record, make, law, id=f"{name}: {law}")
        for name, record, make in ODD
        for law in laws_for(record)
    ],
)
def test_an_odd_store_keeps_the_law(record: StoreRecord, make: Make, law: Law) -> None:
    law.check(record, make, 5)


@pytest.mark.parametrize("broken", BROKEN_IN_USE.values(), ids=BROKEN_IN_USE.keys())
def test_what_is_broken_in_use_is_caught_by_its_law(
    broken: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken.seen == "did not end":  # nobody wants to wait for ever
        monkeypatch.setattr(elsewhere, "PATIENCE_S", 0.5)
    law = law_named(broken.law)
    assert law in laws_for(broken.record)
    with pytest.raises(LawBroken) as caught:
        law.check(broken.record, broken.make)
    seen = str(caught.value).partition("seen: ")[2].partition("smallest example: ")[0]
    assert broken.seen in seen

"""Each broken store is caught, by the law that says how it is broken."""

from __future__ import annotations

import pytest
from broken_beside import BROKEN_BESIDE
from broken_files import BROKEN_FILES
from broken_in_use import BROKEN_IN_USE
from broken_listings import BROKEN_LISTINGS
from broken_locks import BROKEN_LOCKS
from broken_parts import BROKEN_PARTS, PARTS
from broken_stores import BROKEN_ITEMS, Broken
from plain_stores import DICT, ITEMS, new_dict, new_items

from polystore.testing import Law, LawBroken, law_named, laws_for
from polystore.testing.catalogue import STORE_LAWS
from polystore.testing.stores import elsewhere
from polystore.testing.stores.parts import PART_LAWS

BROKEN = {
    f"{what}: {name}": broken
    for what, table in (
        ("items", BROKEN_ITEMS),
        ("listings", BROKEN_LISTINGS),
        ("files", BROKEN_FILES),
        ("locks", BROKEN_LOCKS),
        ("beside", BROKEN_BESIDE),
        ("parts", BROKEN_PARTS),
    )
    for name, broken in table.items()
}

UNBREAKABLE = {
    "what is no key is not loaded": "the dispatcher refuses such a key before the record is asked",
    "what a record lacks is a typed error": "the dispatcher answers for what the record lacks",
}
"""Laws that no record can break, and why: they are about what is around it."""


def test_each_law_of_stores_catches_something() -> None:
    caught = {broken.law for broken in (*BROKEN.values(), *BROKEN_IN_USE.values())}
    assert caught.isdisjoint(UNBREAKABLE)
    assert {law.name for law in STORE_LAWS} == caught | set(UNBREAKABLE)


@pytest.mark.parametrize("law", laws_for(ITEMS), ids=str)
def test_a_plain_store_of_items_keeps_the_law(law: Law) -> None:
    law.check(ITEMS, new_items, 20)


@pytest.mark.parametrize("law", PART_LAWS, ids=str)
def test_a_plain_store_of_parts_keeps_the_law(law: Law) -> None:
    assert law in laws_for(PARTS)
    law.check(PARTS, new_items, 20)


@pytest.mark.parametrize("law", laws_for(DICT), ids=str)
def test_a_plain_store_of_bytes_keeps_the_law(law: Law) -> None:
    law.check(DICT, new_dict, 20)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_store_is_caught_by_its_law(
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

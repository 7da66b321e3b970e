"""Each broken store is caught, by the law that says how it is broken."""

from __future__ import annotations

import pytest
from broken_files import BROKEN_FILES
from broken_listings import BROKEN_LISTINGS
from broken_locks import BROKEN_LOCKS
from broken_stores import BROKEN_ITEMS, Broken
from plain_stores import DICT, ITEMS, new_dict, new_items

from polystore.testing import Law, LawBroken, law_named, laws_for
from polystore.testing.stores import elsewhere

BROKEN = {
    f"{what}: {name}": broken
    for what, table in (
        ("items", BROKEN_ITEMS),
        ("listings", BROKEN_LISTINGS),
        ("files", BROKEN_FILES),
        ("locks", BROKEN_LOCKS),
    )
    for name, broken in table.items()
}


@pytest.mark.parametrize("law", laws_for(ITEMS), ids=str)
def test_a_plain_store_of_items_keeps_the_law(law: Law) -> None:
    law.check(ITEMS, new_items, 40)


@pytest.mark.parametrize("law", laws_for(DICT), ids=str)
def test_a_plain_store_of_bytes_keeps_the_law(law: Law) -> None:
    law.check(DICT, new_dict, 40)


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

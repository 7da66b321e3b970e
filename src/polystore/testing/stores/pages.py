"""Laws of pages: what a listing gives is tuples. They come first, for all others rest on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hypothesis import strategies as st

from polystore.core.outcome import is_outcome, is_successful
from polystore.core.records import Child
from polystore.testing.expect import expect, word_of
from polystore.testing.stores.trial import KEYS_MAX, Trial, store_law

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polystore.core.outcome import Outcome

__all__ = ["PAGE_LAWS"]


def _expect_pages(pages: object, what: str, kind: type[object], kinds: str) -> None:
    """Expect an iterator of pages, each of which is a tuple of that kind, or an error."""
    iterable = not is_outcome(pages) and hasattr(pages, "__iter__")
    expect(iterable, f"{what} gave {pages!r}, and should give an iterator of pages")
    for number, page in enumerate(cast("Iterable[Outcome[object]]", pages)):
        expect(number < KEYS_MAX, f"{what} does not end: it gave {number} pages of a few keys")
        if word_of(page, f"a page of {what}"):
            continue
        found = page.unwrap()
        single = isinstance(found, (str, Child))
        also = f", also of a single one: Success(({found!r},))" if single else ""
        told = f"a page of {what} is Success({found!r}), and should be a tuple of {kinds}{also}"
        expect(isinstance(found, tuple), told)
        for each in cast("tuple[object, ...]", found):
            expect(
                isinstance(each, kind),
                f"a page of {what} has {each!r} in it, and should be a tuple of {kinds}",
            )


def _save_some(trial: Trial) -> None:
    if trial.backend.save is not None:
        for words in ("a", "b/c"):
            outcome = trial.save(trial.key(words), trial.payload(1))
            expect(is_successful(outcome), f"saving under {words!r}, to list it, gave {outcome}")


def _lists_tuples(trial: Trial, _example: None) -> None:
    _save_some(trial)
    if trial.backend.list is not None:
        _expect_pages(trial.backend.list(trial.handle, ""), "list", str, "keys")


def _shows_tuples(trial: Trial, _example: None) -> None:
    _save_some(trial)
    if trial.backend.children is not None:
        shown = trial.backend.children(trial.handle, "")
        _expect_pages(shown, "children", Child, "Child")


PAGE_LAWS = (
    store_law("a page of a listing is a tuple of keys", ("list",), st.none(), _lists_tuples),
    store_law("a page of children is a tuple of Child", ("children",), st.none(), _shows_tuples),
)
"""Laws of pages."""

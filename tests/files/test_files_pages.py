"""Listings page by page: what a record gives, fails with or raises on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from attrs import evolve
from file_stores import SHELF, Site, error_of, site_of

from polystore import (
    Child,
    Dispatcher,
    Failure,
    Key,
    NotADirectory,
    NotFound,
    Outcome,
    Page,
    PermissionDenied,
    Success,
    Unexpected,
    UnsupportedOperation,
    collect_dirs_and_files,
    default_registry,
    find_file,
    iter_files,
    list_dir,
    list_files,
)


def listing_of(pages: Callable[[], Iterator[Outcome[Page]]]) -> Site:
    """Give a store that lists what a function gives."""

    def listing(_shelf: object, _folder: str, /) -> Iterator[Outcome[Page]]:
        return pages()

    store = evolve(SHELF, list=listing)
    run = Dispatcher(default_registry().extended(store).unwrap())
    return site_of("shelf", Path(), run)


def test_iter_files_gives_a_page_before_it_asks_for_the_next() -> None:
    asked: list[int] = []

    def pages() -> Iterator[Outcome[Page]]:
        for number in range(3):
            asked.append(number)
            yield Success((Key(f"{number}a"), Key(f"{number}b")))

    site = listing_of(pages)
    keys = iter_files(site.config, dispatcher=site.dispatcher)
    assert asked == []
    assert [next(keys).unwrap(), next(keys).unwrap()] == ["0a", "0b"]
    assert asked == [0]


def test_a_failure_stands_among_the_keys_of_iter_files() -> None:
    refused = PermissionDenied("b", None, "No.", "Ask.")

    def pages() -> Iterator[Outcome[Page]]:
        yield Success((Key("a"),))
        yield Failure(refused)
        yield Success((Key("c"),))

    site = listing_of(pages)
    found = list(iter_files(site.config, dispatcher=site.dispatcher))
    assert [error_of(each) for each in found] == ["", "PermissionDenied", ""]
    assert found[1].failure() == evolve(refused, config=site.config)
    assert error_of(list_files(site.config, dispatcher=site.dispatcher)) == "PermissionDenied"


def test_a_listing_that_raises_is_a_failure_and_ends() -> None:
    def pages() -> Iterator[Outcome[Page]]:
        yield Success((Key("a"),))
        raise ZeroDivisionError

    site = listing_of(pages)
    keys = list(iter_files(site.config, dispatcher=site.dispatcher))
    assert [error_of(key) for key in keys] == ["", "Unexpected"]
    error = list_files(site.config, dispatcher=site.dispatcher).failure()
    assert isinstance(error, Unexpected)
    assert error.config == site.config


def test_a_listing_that_raises_is_not_asked_for_more() -> None:
    def page(number: int) -> Outcome[Page]:
        return Success((Key(str(1 // number)),))

    site = listing_of(lambda: map(page, (1, 0, 1)))  # a map goes on after it has raised
    keys = list(iter_files(site.config, dispatcher=site.dispatcher))
    assert [error_of(key) for key in keys] == ["", "Unexpected"]


def test_a_listing_is_closed_when_nobody_asks_for_more() -> None:
    closed: list[bool] = []
    kept: list[Iterator[Outcome[Page]]] = []  # else it would be closed when it is forgotten

    def pages() -> Iterator[Outcome[Page]]:
        try:
            while True:
                yield Success((Key("a"),))
        finally:
            closed.append(True)

    def kept_pages() -> Iterator[Outcome[Page]]:
        kept.append(pages())
        return kept[0]

    site = listing_of(kept_pages)
    keys = iter_files(site.config, dispatcher=site.dispatcher)
    next(keys)
    assert not closed
    del keys
    assert closed


def test_a_store_without_a_listing_says_so() -> None:
    store = evolve(SHELF, list=None)
    run = Dispatcher(default_registry().extended(store).unwrap())
    site = site_of("shelf", Path(), run)
    for outcome in (
        list_files(site.config, dispatcher=run),
        list_files(site.config, recursive=False, dispatcher=run),
        list_dir(site.config, dispatcher=run),
        collect_dirs_and_files(site.config, dispatcher=run),
        find_file(site.config, "a", dispatcher=run),
        next(iter_files(site.config, dispatcher=run)),
    ):
        error = cast("Outcome[object]", outcome).failure()
        assert isinstance(error, UnsupportedOperation)
        assert "shelf" in error.message


def test_a_store_with_children_alone_lists_a_folder() -> None:
    def children(_shelf: object, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
        yield Success((Child(Key("a"), "file"), Child(Key("b"), "folder")))

    store = evolve(SHELF, list=None, children=children)
    run = Dispatcher(default_registry().extended(store).unwrap())
    site = site_of("shelf", Path(), run)
    assert list_dir(site.config, dispatcher=run).unwrap() == ("a", "b")
    assert list_files(site.config, recursive=False, dispatcher=run).unwrap() == ("a",)
    assert error_of(list_files(site.config, dispatcher=run)) == "UnsupportedOperation"


@pytest.mark.parametrize("error", [NotFound, NotADirectory])
def test_a_folder_that_goes_while_it_is_walked_hides_nothing(error: type[NotFound]) -> None:
    def children(_shelf: object, folder: str, /) -> Iterator[Outcome[tuple[Child, ...]]]:
        if folder:
            yield Failure(error(folder, None, "It went.", "Look again."))
        else:
            yield Success((Child(Key("a"), "folder"), Child(Key("b"), "file")))

    run = Dispatcher(default_registry().extended(evolve(SHELF, children=children)).unwrap())
    site = site_of("shelf", Path(), run)
    assert collect_dirs_and_files(site.config, dispatcher=run).unwrap().files == ("b",)
    outcome = collect_dirs_and_files(site.config, "a", dispatcher=run)
    assert isinstance(outcome.failure(), error)

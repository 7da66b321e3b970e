"""What stands under a key, asked of every store."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from file_stores import SHELF, Site, error_of, on_every_store, site_of

from polystore import (
    Dispatcher,
    Failure,
    Key,
    Outcome,
    PermissionDenied,
    ReadOnlyConfig,
    Stat,
    UnsupportedOperation,
    default_registry,
    exists,
    is_dir,
    is_file,
    is_symlink,
    stat,
)

ASKED = (exists, is_file, is_dir, is_symlink)


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Site:
    return site_of(kind, tmp_path).with_keys("a.npy", "folder/b.npy")


@on_every_store
@pytest.mark.parametrize(
    ("key", "answers"),
    [
        ("a.npy", (True, True, False, False)),
        ("folder", (True, False, True, False)),
        ("folder/b.npy", (True, True, False, False)),
        ("fold", (False, False, False, False)),
        ("b.npy", (False, False, False, False)),
        (Path("folder/b.npy"), (True, True, False, False)),
    ],
)
def test_what_stands_under_a_key(site: Site, key: str, answers: tuple[bool, ...]) -> None:
    run = site.dispatcher
    assert tuple(ask(site.config, key, dispatcher=run).unwrap() for ask in ASKED) == answers
    found = stat(site.config, key, dispatcher=run)
    kinds = {1: "file", 2: "folder"}
    if answers[0]:
        assert found.unwrap().kind == kinds[answers.index(True, 1)]
    else:
        assert error_of(found) == "NotFound"


@on_every_store
@pytest.mark.parametrize("key", ["", ".", "..", "/x", "a//b", "a\0", ".polystore-x", "\ud800"])
def test_what_is_no_key_is_an_error_and_not_false(site: Site, key: str) -> None:
    for ask in (*ASKED, stat):
        outcome = ask(site.config, key, dispatcher=site.dispatcher)
        assert error_of(outcome) == "InvalidKey"
        assert outcome.failure().config == site.config


def test_links_are_followed_and_known(tmp_path: Path) -> None:
    site = site_of("disk", tmp_path).with_keys("a.npy", "folder/b.npy")
    for name, target in {
        "file": "a.npy",
        "dir": "folder",
        "gone": "nowhere",
        "self": "self",
        "out": "/",
    }.items():
        (tmp_path / "disk" / name).symlink_to(target)

    def answers(key: str) -> tuple[bool, ...]:
        asked = (ask(site.config, key, dispatcher=site.dispatcher) for ask in ASKED)
        return tuple(answer.unwrap() for answer in asked)

    assert answers("file") == (True, True, False, True)
    assert answers("dir") == (True, False, True, True)
    assert answers("dir/b.npy") == (True, True, False, False)
    for broken in ("gone", "self", "out"):
        assert answers(broken) == (False, False, False, True)
        assert stat(site.config, broken, dispatcher=site.dispatcher).unwrap().kind == "broken link"


def test_what_a_store_refuses_to_say_stays_an_error() -> None:
    refused = PermissionDenied("a", None, "No.", "Ask.")

    def says_no(_shelf: object, _key: Key, /) -> Outcome[Stat]:
        return Failure(refused)

    run = Dispatcher(default_registry().extended(evolve(SHELF, stat=says_no)).unwrap())
    site = site_of("shelf", Path(), run)
    for ask in ASKED:
        error = ask(site.config, "a", dispatcher=run).failure()
        assert error == evolve(refused, config=site.config)


def test_a_store_that_cannot_say_says_that() -> None:
    run = Dispatcher(default_registry().extended(evolve(SHELF, stat=None)).unwrap())
    site = site_of("shelf", Path(), run)
    for ask in (*ASKED, stat):
        assert isinstance(ask(site.config, "a", dispatcher=run).failure(), UnsupportedOperation)


@on_every_store
def test_a_store_to_be_read_only_is_asked_like_the_one_behind_it(site: Site) -> None:
    view = ReadOnlyConfig(site.config)
    for ask in ASKED:
        for key in ("a.npy", "folder", "none"):
            behind = ask(site.config, key, dispatcher=site.dispatcher)
            assert ask(view, key, dispatcher=site.dispatcher) == behind

"""Folders moved whole, where another process comes between the look and the move."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from descriptors import few_descriptors

from polystore.backends import wholefolder
from polystore.backends.beneath import exchange
from polystore.backends.heldfolder import HIDDEN_FOLDER, discard_left, lock_new, pin
from polystore.backends.wholefolder import (
    Check,
    hidden_folder,
    look_at,
    rename_folder_new,
    settle_instead,
    settle_link,
    settle_new,
    withdraw,
)


@pytest.fixture
def parent(tmp_path: Path) -> Generator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def make(path: Path, content: str) -> None:
    path.mkdir()
    (path / "content").write_text(content)


def content_of(folder: int) -> str:
    fd = os.open("content", os.O_RDONLY, dir_fd=folder)
    with os.fdopen(fd) as file:
        return file.read()


def refuse(word: str) -> Check:
    """Give a check that lets go all folders but those with a word in them."""

    def check(folder: int) -> None:
        if content_of(folder) == word:
            raise IsADirectoryError(errno.EISDIR, word)

    return check


def after_the_first(check: Check, act: Callable[[], object]) -> Check:
    """Give a check after whose first look something happens."""
    waiting = [act]

    def looking(folder: int) -> None:
        try:
            check(folder)
        finally:
            if waiting:
                waiting.pop()()

    return looking


def swap_in(folder: Path, content: str) -> Callable[[], None]:
    """Give what another process does: put another folder in the place of one."""

    def swap() -> None:
        folder.rename(folder.with_name(f"{HIDDEN_FOLDER}elsewhere"))
        make(folder, content)

    return swap


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_that_was_just_replaced_is_looked_at_again(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "a", "must stay")
    with pytest.raises(IsADirectoryError):
        look_at(parent, "a", refuse("must stay"))
    check = after_the_first(refuse("must stay"), swap_in(tmp_path / "a", "may go"))
    look_at(parent, "a", check)


@pytest.mark.parametrize("between", ["may go", "must stay"])
def test_what_comes_between_look_and_exchange(tmp_path: Path, parent: int, between: str) -> None:
    make(tmp_path / "a", "old")
    check = after_the_first(refuse("must stay"), swap_in(tmp_path / "a", between))

    def replace() -> None:
        with hidden_folder(parent) as hidden:
            (tmp_path / hidden.name / "content").write_text("new")
            settle_instead(parent, hidden, "a", check)

    if between == "must stay":
        with pytest.raises(IsADirectoryError):
            replace()
    else:
        replace()
    expected = "must stay" if between == "must stay" else "new"
    assert (tmp_path / "a" / "content").read_text() == expected
    assert names_in(tmp_path) == ["a"], "the old one, swapped out, and the new one are gone"


@pytest.mark.parametrize("between", ["may go", "must stay"])
def test_what_comes_between_look_and_withdrawal(tmp_path: Path, parent: int, between: str) -> None:
    make(tmp_path / "a", "old")
    check = after_the_first(refuse("must stay"), swap_in(tmp_path / "a", between))
    if between == "must stay":
        with pytest.raises(IsADirectoryError):
            withdraw(parent, "a", check)
        assert (tmp_path / "a" / "content").read_text() == "must stay"
        assert names_in(tmp_path) == ["a"]
    else:
        withdraw(parent, "a", check)
        assert names_in(tmp_path) == []


def test_what_a_reader_holds_stays_until_it_lets_go(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "a", "old")
    reader = os.open(tmp_path / "a", os.O_RDONLY)
    try:
        assert pin(reader)
        withdraw(parent, "a", refuse("must stay"))
        assert content_of(reader) == "old"
        assert not (tmp_path / "a").exists()
    finally:
        os.close(reader)


def test_a_taken_name_is_left(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "a", "old")
    with pytest.raises(FileExistsError), hidden_folder(parent) as hidden:
        settle_new(parent, hidden, "a")
    assert names_in(tmp_path) == ["a"]


def test_without_noreplace_a_rename_of_folders_does(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "new", "new")
    make(tmp_path / "taken", "taken")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for other in ("taken", "file", "empty"):
        with pytest.raises(FileExistsError):
            rename_folder_new(parent, parent, ("new", other))
    rename_folder_new(parent, parent, ("new", "free"))
    assert (tmp_path / "free" / "content").read_text() == "new"


def before_the_first(monkeypatch: pytest.MonkeyPatch, step: str, act: Callable[[], None]) -> None:
    """Have something happen before the first exchange, or before the first plain rename."""
    waiting = [act]
    rename = os.rename

    def exchanged(folder: int, one: str, other: str) -> None:
        if waiting:
            waiting.pop()()
        exchange(folder, one, other)

    def renamed(one: str, other: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if waiting:
            waiting.pop()()
        rename(one, other, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    if step == "exchange":
        monkeypatch.setattr(wholefolder, "exchange", exchanged)
    else:
        monkeypatch.setattr(os, "rename", renamed)


@pytest.mark.parametrize("what", ["folder", "link"])
def test_a_link_is_replaced_and_what_it_leads_to_stays(
    tmp_path: Path, parent: int, what: str
) -> None:
    make(tmp_path / "kept", "kept")
    (tmp_path / "a").symlink_to("kept")
    if what == "link":
        settle_link(parent, "nowhere", "a", refuse("kept"))
        assert (tmp_path / "a").readlink() == Path("nowhere")
    else:
        with hidden_folder(parent) as hidden:
            settle_instead(parent, hidden, "a", refuse("kept"))
        assert not (tmp_path / "a").is_symlink()
    assert names_in(tmp_path) == ["a", "kept"]
    assert (tmp_path / "kept" / "content").read_text() == "kept"


@pytest.mark.parametrize("step", ["exchange", "rename"])
def test_a_folder_that_comes_in_place_of_a_link_is_looked_at(
    tmp_path: Path, parent: int, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / "a").symlink_to("nowhere")

    def put_a_folder() -> None:
        (tmp_path / "a").unlink()
        make(tmp_path / "a", "must stay")

    def remove() -> None:
        if step == "exchange":
            settle_link(parent, "elsewhere", "a", refuse("must stay"))
        else:
            withdraw(parent, "a", refuse("must stay"))

    before_the_first(monkeypatch, step, put_a_folder)
    with pytest.raises(IsADirectoryError):
        remove()
    assert (tmp_path / "a" / "content").read_text() == "must stay"
    assert names_in(tmp_path) == ["a"]


def test_a_folder_is_renamed_into_another_without_noreplace(tmp_path: Path, parent: int) -> None:
    make(tmp_path / "old", "old")
    make(tmp_path / "into", "into")
    into = os.open(tmp_path / "into", os.O_RDONLY)
    try:
        rename_folder_new(parent, into, ("old", "new"))
    finally:
        os.close(into)
    assert (tmp_path / "into" / "new" / "content").read_text() == "old"


def test_a_folder_that_is_being_moved_into_place_is_removed_whole_or_not(
    tmp_path: Path, parent: int
) -> None:
    """Who removes leftovers takes them away first: a writer's rename then finds none, or all."""
    hidden = tmp_path / f"{HIDDEN_FOLDER}1"
    make(hidden, "new")
    assert discard_left(parent, hidden.name)
    assert names_in(tmp_path) == []
    assert discard_left(parent, hidden.name), "it is gone already"
    make(hidden, "new")
    writer = os.open(hidden, os.O_RDONLY)
    try:
        lock_new(writer)
        assert not discard_left(parent, hidden.name)
        assert content_of(writer) == "new"
        assert names_in(tmp_path) == [hidden.name]
    finally:
        os.close(writer)


def test_without_descriptors_no_hidden_folder_is_left(tmp_path: Path, parent: int) -> None:
    with (
        few_descriptors(0),
        pytest.raises(OSError, match=os.strerror(errno.EMFILE)),
        hidden_folder(parent),
    ):
        raise AssertionError("it was opened")
    assert names_in(tmp_path) == []

"""Keys: what is one, what is none, and their order."""

from __future__ import annotations

import enum
import os
import re
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polystore import InvalidKey, KeyLike, is_successful, parse_key
from polystore.core.key import are_plain, natural_order, near_keys, suffix_of

parts = st.text(st.sampled_from("aB7é中 .-_\\\0/\ud800\n~"), max_size=6) | st.sampled_from(
    (".", "..", ".polystore-x", "zarr.json", "é" * 128, "x" * 255, "x" * 256)
)
texts = st.lists(parts, max_size=4).map("/".join) | st.text()
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1)


def is_key(text: str, reserved: frozenset[str] = frozenset()) -> bool:
    """Say what `parse_key` must say: a transcript of the design's words, not of the code."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return False
    return not any(
        part in ("", ".", "..")
        or "\0" in part
        or "\\" in part
        or len(part.encode()) > 255
        or part.startswith(".polystore-")
        or part in reserved
        for part in text.split("/")
    )


@given(texts, st.sampled_from((frozenset[str](), frozenset({"zarr.json", "B"}))))
@example("a", frozenset({"zarr.json"}))
@example("a\n", frozenset())
def test_exactly_the_keys_are_accepted_and_as_they_are(text: str, reserved: frozenset[str]) -> None:
    outcome = parse_key(text, None, reserved)
    assert is_successful(outcome) == is_key(text, reserved)
    if is_successful(outcome):
        assert outcome.unwrap() == text
        assert type(outcome.unwrap()) is str


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        (".", "'.' names no file"),
        ("../x", "'..' would leave the folder"),
        ("a/../b", "'..' would leave the folder"),
        ("/etc/passwd", "absolute"),
        ("/", "absolute"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a\\b", "backslash"),
        ("a\0b", "NUL"),
        ("x" * 300, "longer than 255 bytes"),
        ("a/" + "é" * 128, "longer than 255 bytes"),
        ("a\ud800", "lone surrogate"),
        (".polystore-new", "reserved by polystore"),
        ("a/.polystore-new/b", "reserved by polystore"),
        (b"a.tif", "neither a text nor a path"),
        (7, "neither a text nor a path"),
        (None, "neither a text nor a path"),
    ],
)
def test_an_error_says_what_is_wrong(text: object, words: str) -> None:
    error = parse_key(cast("KeyLike", text)).failure()
    assert isinstance(error, InvalidKey)
    assert words in error.message
    assert str(error).encode()  # it can be printed, whatever was in the key


@given(st.lists(names.filter(is_key), min_size=1, max_size=3).map("/".join))
def test_a_path_under_the_root_is_made_relative(key: str) -> None:
    root = "/data/plate.v1"
    assert parse_key(f"{root}/{key}", root).unwrap() == key
    assert parse_key(Path(f"{root}/{key}"), root).unwrap() == key
    assert parse_key(f"/{key}", "/").unwrap() == key
    for elsewhere in (f"/data/{key}", f"{root}2/{key}", f"/other{root}/{key}"):
        assert not is_successful(parse_key(elsewhere, root))


@pytest.mark.parametrize("key", ["/r/../x", "/r/.", "/r", "/r/", "/r//x", "//r/x", "/r/a\\b"])
def test_an_absolute_path_is_checked_below_the_root_too(key: str) -> None:
    assert not is_successful(parse_key(key, "/r"))


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the current folder, with files in `plate` and in `plate/plate` under it."""
    for name in ("plate/A01.tif", "plate/plate/B01.tif"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_glob_gives_are_keys(plates: Path) -> None:
    root = str(plates / "plate")
    keys = ["A01.tif", "plate/B01.tif"]
    for folder in (Path("plate"), plates / "plate", Path("./plate")):
        found = [parse_key(path, root).unwrap() for path in folder.rglob("*.tif")]
        assert sorted(found) == keys


def test_what_glob_gives_beside_the_current_folder_are_keys(
    plates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (plates / "here").mkdir()
    monkeypatch.chdir("here")
    root = str(Path("../plate").absolute())  # as a config has it
    found = [parse_key(path, root).unwrap() for path in Path("../plate").glob("*.tif")]
    assert found == ["A01.tif"]


def test_a_path_is_a_key_where_it_does_not_begin_with_the_root(
    plates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(plates)
    assert parse_key(Path("plate/A01.tif"), root).unwrap() == "plate/A01.tif"
    monkeypatch.chdir("plate")  # the root is above the current folder now
    assert parse_key(Path("A01.tif"), root).unwrap() == "A01.tif"
    assert parse_key(Path("A01.tif"), str(plates / "plate")).unwrap() == "A01.tif"


def test_a_text_is_never_taken_for_a_path_from_here(plates: Path) -> None:
    assert parse_key("plate/B01.tif", str(plates / "plate")).unwrap() == "plate/B01.tif"


def test_the_current_folder_may_be_gone(plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = plates / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert parse_key(Path("A01.tif"), str(plates)).unwrap() == "A01.tif"


def test_pure_paths_are_keys_as_they_stand() -> None:
    assert parse_key(PurePosixPath("a/b.tif")).unwrap() == "a/b.tif"
    assert parse_key(PureWindowsPath(r"a\b.tif")).unwrap() == "a/b.tif"


class Well(str, enum.Enum):  # noqa: UP042 - the older kind, whose str() is its name
    """A text whose `str()` is another one."""

    A1 = "A01.tif"


class Named(os.PathLike[str]):
    """A path of somebody else's."""

    def __init__(self, name: object) -> None:
        self.name = name

    def __fspath__(self) -> str:
        return cast("str", self.name)


def test_a_subclass_of_str_is_the_text_that_it_is() -> None:
    assert str(Well.A1) != "A01.tif"
    key = parse_key(Well.A1).unwrap()
    assert key == "A01.tif"
    assert type(key) is str


def test_paths_of_other_classes_are_taken_at_their_word() -> None:
    assert parse_key(Named("a/b.tif")).unwrap() == "a/b.tif"
    for wrong in (b"a.tif", 7, None):
        assert isinstance(parse_key(Named(wrong)).failure(), InvalidKey)


@given(st.lists(st.text(st.sampled_from("a0129²٣10./中"), max_size=8)))
def test_natural_order_is_a_total_order(keys: list[str]) -> None:
    ordered = sorted(keys, key=natural_order)
    backwards = keys[::-1]
    assert sorted(backwards, key=natural_order) == ordered
    for one, other in pairwise(ordered):
        assert natural_order(one) <= natural_order(other)
        assert (natural_order(one) == natural_order(other)) == (one == other)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 3))
def test_numbers_are_ordered_by_value(one: int, other: int, zeros: int) -> None:
    left, right = f"f{'0' * zeros}{one}.tif", f"f{other}.tif"
    if one != other:
        assert (natural_order(left) < natural_order(right)) == (one < other)


def by_numbers(key: str) -> tuple[list[str | int], str]:
    """Natural order as it is said: text, a number, text, a number, and so on."""
    parts = re.split("([0-9]+)", key)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], key


@given(st.lists(st.text(st.sampled_from("a0129 -/.é"), max_size=8)))
@example(["f1", "f", "f-", "f 1", "fa", "f01", "f0", "f00"])
def test_natural_order_is_that_of_texts_and_numbers_in_turn(keys: list[str]) -> None:
    assert sorted(keys, key=natural_order) == sorted(keys, key=by_numbers)


@given(
    st.lists(st.text("aZ0_ .,+-()@=~é\\", min_size=1, max_size=5), min_size=1, max_size=4),
    st.sampled_from(("a", "é/b c", ".a")),
)
@example([".polystore-new-1"], "a")
@example(["a" * 256], "a")
@example([".."], "a")
@example([""], "a")
@example([], "a")
def test_what_is_plain_makes_keys(parts: list[str], above: str) -> None:
    if are_plain(parts):
        for part in parts:
            assert parse_key(part).unwrap() == part
            assert parse_key(f"{above}/{part}").unwrap() == f"{above}/{part}"
    else:
        assert not parts or any(map(odd, parts))


def odd(name: str) -> bool:
    """Whether `parse_key` has to look twice."""
    return len(name) > 255 or re.fullmatch(r"\w[\w .,+\-()@=]*", name, re.ASCII) is None


def test_digits_of_other_scripts_and_runs_without_end_sort() -> None:
    assert sorted(["a2²3.tif", "a10.tif", "a²", "a٣"], key=natural_order)
    long = "1" * 5000  # more digits than int() takes
    assert sorted([long + "1", long, "2"], key=natural_order) == ["2", long, long + "1"]


@given(names, st.lists(names, max_size=100))
def test_near_keys_are_some_of_the_keys(key: str, keys: list[str]) -> None:
    near = near_keys(key, keys)
    assert sorted(near) == sorted(keys)  # fewer than the limit: all of them
    assert near_keys(key, iter(keys)) == near


def test_near_keys_are_the_near_ones_however_many_there_are() -> None:
    keys = [f"{row}{column:02}_s{site}.tif" for row in "ABCDEFGH" for column in range(12)
            for site in range(9)]  # fmt: skip
    near = near_keys("d07_S3.tif", keys)
    assert "D07_s3.tif" in near
    assert len(near) <= 200


def test_the_longest_suffix_counts() -> None:
    suffixes = (".tif", ".ome.tif")
    assert suffix_of("a.tif/B.OME.TIF", suffixes) == ".ome.tif"
    assert suffix_of("a.tif/b", suffixes) is None

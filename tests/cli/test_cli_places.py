"""What a demo reads and where it writes: never over anything, never into what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polystore import AlreadyExists, NotADirectory, NotFound, UnsupportedOperation, is_successful
from polystore.cli.places import check_results, counted, find_images, make_results, shown


def plate(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def test_images_of_all_subfolders_are_found_whatever_the_case_of_their_suffix(
    tmp_path: Path,
) -> None:
    folder = plate(tmp_path, "a b/f10.TIF", "a b/f2.tif", "x.npy", "y.JPG", "README", "s/z.txt")
    images = find_images(folder).unwrap()
    assert images.keys == ("a b/f2.tif", "a b/f10.TIF", "x.npy", "y.JPG")
    assert sorted(images.others) == ["README", "s/z.txt"]
    assert images.disk.root == str(folder)


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    folder = plate(tmp_path, "A01.tif", "._A01.tif", ".cache/B01.tif")
    images = find_images(folder).unwrap()
    assert images.keys == ("A01.tif",)
    assert counted(images.others) == "2 files (hidden)"


def test_a_folder_without_images_says_what_is_in_it(tmp_path: Path) -> None:
    error = find_images(plate(tmp_path, "a.gif", "b.GIF", "c.txt")).failure()
    assert isinstance(error, NotFound)
    assert "only 3 files (2 .gif, 1 .txt)" in error.message
    assert ".tif" in error.advice
    assert ".txt" not in error.advice


def test_texts_tables_and_archives_are_no_images(tmp_path: Path) -> None:
    others = ["a.csv", "a.json", "a.npz", "a.pt", "a.roi.zip", "a.tf", "README.md", "a.jax"]
    images = find_images(plate(tmp_path, "a.bmp", *others)).unwrap()
    assert images.keys == ("a.bmp",)
    assert set(images.others) == set(others)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [("missing", NotFound, "does not exist"), ("a.tif", NotADirectory, "is a file")],
)
def test_what_is_no_folder_is_an_error(
    tmp_path: Path, name: str, kind: type[object], words: str
) -> None:
    error = find_images(plate(tmp_path, "a.tif") / name).failure()
    assert isinstance(error, kind)
    assert words in error.message


@given(st.dictionaries(st.sampled_from([".jpg", ".txt", ".b"]), st.integers(1, 5), min_size=1))
def test_every_file_is_counted(kinds: dict[str, int]) -> None:
    files = [f"{i}{kind}" for kind, number in kinds.items() for i in range(number)]
    text = counted(files)
    assert text.startswith(f"{len(files)} file")
    for kind, number in kinds.items():
        assert (f"{number} {kind}" if len(kinds) > 1 else kind) in text


def test_results_go_to_a_fresh_folder_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = [make_results(None).unwrap() for _ in range(3)]
    assert made == [Path("polystore-demo"), Path("polystore-demo-2"), Path("polystore-demo-3")]


@pytest.mark.parametrize("wanted", ["plate/out", "plate", "other/../plate/deep/er"])
def test_results_never_go_into_the_folder_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.chdir(plate(tmp_path, "plate/a.tif"))
    assert isinstance(check_results(Path(wanted), Path("plate")).failure(), UnsupportedOperation)


def test_the_default_folder_is_not_made_in_the_folder_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plate(tmp_path, "plate/a.tif") / "plate")
    assert "--output" in check_results(None, Path("..")).failure().advice
    assert "--output" in check_results(None, Path()).failure().advice


def test_a_link_into_the_folder_that_is_read_is_seen_through(tmp_path: Path) -> None:
    folder = plate(tmp_path, "plate/a.tif")
    (folder / "link").symlink_to(folder / "plate")
    refused = check_results(folder / "link" / "out", folder / "plate")
    assert isinstance(refused.failure(), UnsupportedOperation)


def test_a_wanted_folder_is_new_or_empty(tmp_path: Path) -> None:
    folder = plate(tmp_path, "full/a.txt", "file")
    (folder / "empty").mkdir()
    assert is_successful(check_results(folder / "new" / "deep", None))
    assert is_successful(check_results(folder / "empty", None))
    assert isinstance(check_results(folder / "full", None).failure(), AlreadyExists)
    assert isinstance(check_results(folder / "file", None).failure(), NotADirectory)
    assert not (folder / "new").exists()
    assert make_results(folder / "new" / "deep").unwrap().is_dir()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    refused = make_results(plate(tmp_path, "file") / "file" / "below")
    assert isinstance(refused.failure(), NotADirectory)


def test_paths_are_shown_as_one_would_type_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shown(tmp_path / "here" / "a b" / "c") == "a b/c"
    assert shown(tmp_path / "there") == str(tmp_path / "there")

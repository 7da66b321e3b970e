"""`polystore demo` in this process: what it says, what it leaves behind, how it ends."""

from __future__ import annotations

import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import zarr

from polystore import HostArray
from polystore.cli.main import main
from polystore.cli.plate import plate_images
from polystore.cli.sheet import contact_sheet, layout_for, thumbnail


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def stored(key: str, results: str = "polystore-demo") -> HostArray:
    # zarr takes fsspec's mappings too, a type that is unknown where fsspec is not installed
    # zarr takes fsspec's mappings too, whose type is unknown without fsspec
    plate = zarr.open_group(f"{results}/plate.zarr")  # pyright: ignore[reportUnknownMemberType]
    array = plate[key]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[...])


def saved(name: str, array: HostArray) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)


def everything_below(folder: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def test_without_a_folder_a_plate_is_made_moved_and_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    images = dict(plate_images())
    for number, (key, image) in enumerate(images.items(), 1):
        shape = " x ".join(map(str, image.shape))
        line = next(line for line in out.splitlines() if key in line)
        assert line.split()[0] == str(number)
        assert re.search(f"  {shape} +{image.dtype.name} +{image.nbytes:,}  ", line)
        assert line.split()[-1] == "yes"
        assert np.array_equal(stored(key), image)
        assert stored(key).dtype == image.dtype
    assert "All 14 images are equal in Zarr" in out
    assert [path.name for path in Path().iterdir()] == ["polystore-demo"]


def test_the_contact_sheet_shows_what_is_in_zarr() -> None:
    assert main(["demo"]) == 0
    sheet = imagecodecs.png_decode(Path("polystore-demo/contact-sheet.png").read_bytes())
    keys = [key for key, _ in plate_images()]
    layout = layout_for(len(keys))
    tiles = [thumbnail(stored(key), layout.side) for key in keys]
    assert np.array_equal(sheet, contact_sheet(tiles, layout))


def test_a_second_run_leaves_the_first_as_it_is() -> None:
    assert main(["demo"]) == 0
    first = everything_below("polystore-demo")
    assert main(["demo"]) == 0
    assert everything_below("polystore-demo") == first
    second = everything_below("polystore-demo-2")
    assert len(second) == len(first)
    assert main(["demo", "--output", "mine/own"]) == 0
    assert Path("mine/own/plate.zarr/zarr.json").is_file()


def test_a_broken_image_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    saved("in/a.npy", np.arange(6, dtype="u1"))
    saved("in/[red] z.npy", np.arange(8, dtype="f4").reshape(2, 4))
    Path("in/b.tif").write_bytes(b"\xff\xd8\xff\xe0 a JPEG")
    Path("in/c.GIF").write_bytes(b"")
    before = everything_below("in")
    assert main(["demo", "in"]) == 1
    out = capsys.readouterr().out
    assert "not read: 1 file (.gif)" in out
    assert "2 of 3 images are equal" in out
    assert "[red] z.npy" in out
    row = next(line for line in out.splitlines() if "b.tif" in line)
    assert row.split()[-1] == "failed"
    assert "Traceback" not in out
    assert stored("a.npy").tolist() == [0, 1, 2, 3, 4, 5]
    assert stored("[red] z.npy").shape == (2, 4)
    assert everything_below("in") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["demo", "missing"], "does not exist"),
        (["demo", "in/notes.txt"], "is a file"),
        (["demo", "empty"], "holds no image"),
        (["demo", "in"], "only 1 file (.txt)"),
        (["demo", "--output", "in"], "not empty"),
        (["demo", "plate", "--output", "plate/out"], "the folder that is read"),
        (["demo", "."], "the folder that is read"),
    ],
)
def test_what_cannot_begin_says_why_and_makes_nothing(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("in").mkdir()
    Path("in/notes.txt").write_text("notes")
    saved("plate/a.npy", np.zeros(3))
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.startswith("polystore demo: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert sorted(Path().rglob("*")) == before


def test_names_that_would_move_the_cursor_are_shown_harmless(
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved("in/a\x1b[2J\n.npy", np.zeros(3, "u1"))
    assert main(["demo", "in"]) == 0
    out = capsys.readouterr().out
    assert "a\\x1b[2J\\n.npy" in out
    assert "\x1b" not in out


def test_arrays_without_a_picture_are_moved_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved("in/empty.npy", np.zeros((0, 4), "u1"))
    saved("in/scalar.npy", np.array(3, "u2"))
    assert main(["demo", "in"]) == 0
    out = capsys.readouterr().out
    assert "scalar" in out
    assert "crossed where there is no picture" in out
    assert stored("scalar.npy")[()] == 3
    assert stored("empty.npy").shape == (0, 4)

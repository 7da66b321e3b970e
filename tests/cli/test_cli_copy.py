"""`polystore copy`: from files to Zarr, and back, and what it says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import zarr
from commands_typed import NAMES, STACK, here, pixels, typed, write_planes, write_stack

from polystore import (
    Metadata,
    ZarrConfig,
    list_files,
    read,
    write,
)

__all__ = ["here"]

pytestmark = pytest.mark.usefixtures("here")

Capsys = pytest.CaptureFixture[str]


def files(folder: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(folder).rglob("*")
        if path.is_file()
    }


def test_a_tiff_becomes_an_image_and_a_tiff_again(capsys: Capsys) -> None:
    write_stack()
    said = typed(capsys, "copy", "stack.ome.tif", "image.zarr", "--layout", "image")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("stack.ome.tif -> image.zarr: 1 of 1 written (")
    item = read("image.zarr").unwrap()
    assert np.array_equal(pixels("image.zarr"), STACK)
    assert item.metadata.channel_names == ("DAPI", "GFP")
    assert item.metadata.scale == (1.0, 2.0, 0.5, 0.5)
    assert pixels("image.zarr/1").shape == (2, 3, 150, 100)
    assert typed(capsys, "copy", "image.zarr", "back.ome.tif").status == 0
    back = read("back.ome.tif").unwrap()
    assert np.array_equal(pixels("back.ome.tif"), STACK)
    assert (back.metadata.axes, back.metadata.unit) == (item.metadata.axes, item.metadata.unit)


def test_without_a_layout_it_is_an_array_that_zarr_opens(capsys: Capsys) -> None:
    write_stack()
    assert typed(capsys, "copy", "stack.ome.tif", "a.zarr", "--chunks", "1,1,100,100").status == 0
    array = zarr.open_array("a.zarr", mode="r")  # pyright: ignore[reportUnknownMemberType] - fsspec's mappings
    assert np.array_equal(np.asarray(array[...]), STACK)
    assert array.chunks == (1, 1, 100, 100)


def test_an_image_of_the_older_version(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "old.zarr", "--layout", "image", "--ome", "0.4")
    assert Path("old.zarr/.zattrs").exists()
    assert np.array_equal(pixels("old.zarr"), STACK)


def test_axes_that_the_file_does_not_say(capsys: Capsys) -> None:
    np.save("a.npy", STACK)
    said = typed(capsys, "copy", "a.npy", "a.zarr", "--layout", "image", "--axes", "t,z,y,x")
    assert said.status == 0
    assert read("a.zarr").unwrap().metadata.axes == ("t", "z", "y", "x")
    said = typed(capsys, "copy", "a.npy", "b.zarr", "--layout", "image", "--axes", "y,x")
    assert said.status == 1
    assert "4 axes" in said.err
    assert not Path("b.zarr").exists()


def test_what_is_there_stays_unless_told_otherwise(capsys: Capsys) -> None:
    write_stack()
    copy = ("copy", "stack.ome.tif", "a.zarr", "--layout", "image")
    assert typed(capsys, *copy).status == 0
    before = files("a.zarr")
    said = typed(capsys, *copy)
    assert said.status == 1
    assert said.err == (
        "polystore copy: 'a.zarr' exists already. "
        "Add --if-exists replace, or skip to keep what is there.\n"
    )
    said = typed(capsys, *copy, "--if-exists", "skip")
    assert (said.status, "1 there already" in said.out) == (0, True)
    assert files("a.zarr") == before
    write("stack.ome.tif", STACK[:, :1], metadata=Metadata(axes=("c", "z", "y", "x")),
          if_exists="replace").unwrap()  # fmt: skip
    assert typed(capsys, *copy, "--if-exists", "replace").status == 0
    assert pixels("a.zarr").shape == (2, 1, 300, 200)


@pytest.mark.parametrize("layout", ["array", "image"])
def test_a_folder_becomes_a_store_with_the_same_keys(capsys: Capsys, layout: str) -> None:
    planes = write_planes()
    Path("tiffs/notes.txt").write_text("seen")
    said = typed(capsys, "copy", "tiffs", "all.zarr", "--layout", layout)
    assert said.status == 0
    assert "16 of 16 written" in said.out
    assert "not copied: 1 file (.txt)" in said.out
    for name, plane in planes.items():
        assert np.array_equal(pixels(f"all.zarr/{name}"), plane)
    assert typed(capsys, "copy", "all.zarr", "again", "--workers", "2").status == 0
    assert sorted(path.name for path in Path("again").iterdir()) == sorted(planes)


def test_stores_and_plates_are_copied_as_they_are(capsys: Capsys) -> None:
    write_planes()
    typed(capsys, "copy", "tiffs", "p.zarr", "--layout", "plate", "--names", NAMES)
    typed(capsys, "copy", "tiffs", "i.zarr", "--layout", "image")
    typed(capsys, "copy", "tiffs", "a.zarr")
    for name in ("p", "i", "a"):
        assert typed(capsys, "copy", f"{name}.zarr", f"{name}2.zarr").status == 0
        assert typed(capsys, "verify", f"{name}.zarr", f"{name}2.zarr").status == 0
        chunks = {path for path in files(f"{name}.zarr") if not path.endswith("zarr.json")}
        assert chunks <= files(f"{name}2.zarr").keys()


def test_into_a_folder_under_the_name_of_the_source(capsys: Capsys) -> None:
    write_stack()
    typed(capsys, "copy", "stack.ome.tif", "store.zarr/a")
    assert typed(capsys, "copy", "stack.ome.tif", "store.zarr").status == 0
    assert set(list_files(ZarrConfig(root="store.zarr")).unwrap()) == {"a", "stack.ome.tif"}
    Path("there").mkdir()
    assert typed(capsys, "copy", "stack.ome.tif", "there").status == 0
    assert typed(capsys, "copy", "stack.ome.tif", "new/").status == 0
    assert Path("there/stack.ome.tif").read_bytes() == Path("new/stack.ome.tif").read_bytes()


def test_a_field_of_a_plate_becomes_an_image(capsys: Capsys) -> None:
    write_planes()
    typed(capsys, "copy", "tiffs", "p.zarr", "--layout", "plate", "--names", NAMES)
    assert typed(capsys, "copy", "p.zarr/A/1/0", "field.zarr").status == 0
    assert pixels("field.zarr").shape == (2, 32, 32)
    assert typed(capsys, "copy", "p.zarr/B", "row").status == 0
    assert Path("row/2/1.ome.tif").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("no.tif", "a.zarr"), "Nothing is stored under 'no.tif'"),
        (("empty", "a.zarr"), "holds no image"),
        (("texts", "a.zarr"), "holds no image that polystore reads: only 1 file (.txt)"),
        (
            ("tiffs", "p.zarr", "--layout", "plate", "--names", "{row}.tif"),
            "does not name 'column'",
        ),
        (
            ("tiffs", "p.zarr", "--layout", "plate", "--names", "x{row}{column}.tif"),
            "does not fit",
        ),
        (("tiffs", "a.zarr", "--names", NAMES), "neither side is a plate"),
        (("tiffs", "p.zarr", "--layout", "plate"), "no field of a plate, whose keys are row/"),
        (("tiffs", "p.zarr", "--layout", "plate"), "Add --names"),
        (("stack.npy", "there.zarr", "--layout", "plate"), "there.zarr' is an array, and no plate"),
        (
            ("tiffs", "there.zarr", "--layout", "plate", "--names", NAMES),
            "there.zarr' is an array, and no plate",
        ),
        (("stack.npy", "out"), "Add a suffix such as .zarr or .ome.tif, or make the folder first"),
        (("there.zarr", "out"), "Add a suffix such as .zarr or .ome.tif"),
        (("stack.npy", "a.tif", "--chunks", "1,2,3"), "--chunks says how Zarr is written"),
        (("there.zarr", "a.tif", "--ome", "0.4"), "--ome says how Zarr is written"),
        (("there.zarr", "there.zarr"), "'there.zarr' would be copied onto itself"),
        (("tiffs", "tiffs/"), "'A01_s1_w1.tif' would be copied onto itself"),
        (("stack.npy", "stack.npy", "--if-exists", "replace"), "copied onto itself"),
    ],
)
def test_what_cannot_begin_says_why(
    capsys: Capsys, arguments: tuple[str, ...], sentence: str
) -> None:
    write_planes()
    Path("empty").mkdir()
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("")
    np.save("stack.npy", STACK)
    write("there.zarr", STACK).unwrap()
    before = sorted(path.name for path in Path().iterdir())
    said = typed(capsys, "copy", *arguments)
    assert (said.status, said.out) == (2, "")
    assert sentence in said.err
    assert said.err.startswith("polystore copy: ")
    assert said.err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == before


def test_one_bad_file_is_said_and_the_others_arrive(capsys: Capsys) -> None:
    planes = write_planes()
    Path("tiffs/A01_s1_w1.tif").write_bytes(b"no TIFF")
    Path("tiffs/\x1b[2J.tif").write_bytes(b"nor this")
    said = typed(capsys, "copy", "tiffs", "a.zarr")
    assert said.status == 1
    assert "15 of 17 written" in said.out
    assert "2 failed" in said.out
    assert "\x1b" not in said.out + said.err
    assert len(re.findall(r"^polystore copy: ", said.err, re.MULTILINE)) == 2
    config = ZarrConfig(root="a.zarr")
    assert set(list_files(config).unwrap()) == set(planes) - {"A01_s1_w1.tif"}


def test_what_is_no_image_keeps_its_name_without_a_suffix(capsys: Capsys) -> None:
    Path("LICENSE").write_text("free")
    said = typed(capsys, "copy", "LICENSE", "COPYING")
    assert said.status == 0, said.err
    assert Path("COPYING").read_text() == "free"


def test_two_items_that_would_be_one_are_an_error(capsys: Capsys) -> None:
    write_planes("a")
    typed(capsys, "copy", "a", "s.zarr")
    write("s.zarr/x", STACK).unwrap()
    write("s.zarr/x.zarr", STACK).unwrap()
    said = typed(capsys, "copy", "s.zarr", "out")
    assert said.status == 2
    assert "would both become 'x.tif'" in said.err
    assert not Path("out").exists()


def test_what_the_target_cannot_keep_is_said(capsys: Capsys) -> None:
    np.save("a.npy", np.zeros((4, 4), np.uint8))
    write("a.tif", np.zeros((4, 4), np.uint8), metadata=Metadata(axes=("y", "x"), scale=(1, 2),
          unit=("micrometer", "micrometer"))).unwrap()  # fmt: skip
    said = typed(capsys, "copy", "a.tif", "a.png")
    assert said.status == 0
    assert "metadata that could not be kept, of 1 item: scale, unit" in said.out


def test_the_help_shows_an_example(capsys: Capsys) -> None:
    for command in ("copy", "info", "verify", "preview"):
        with pytest.raises(SystemExit):
            typed(capsys, command, "--help")
        assert f"polystore {command} " in capsys.readouterr().out
    for wrong in (["--axes", "z,,x"], ["--axes", "zyx"], ["--chunks", "1,x"], ["--chunks", "0"]):
        with pytest.raises(SystemExit):
            typed(capsys, "copy", "a", "b", *wrong)

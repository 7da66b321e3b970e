"""`polystore copy` between files and plates: their names, and what is said of those that lack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands_typed import NAMES, here, pixels, typed, write_planes

from polystore import PlateNames, ZarrConfig, ZarrLayout, list_files, load, write

__all__ = ["here"]

pytestmark = pytest.mark.usefixtures("here")

Capsys = pytest.CaptureFixture[str]


def test_a_folder_becomes_a_plate_and_the_plate_the_folder(capsys: Capsys) -> None:
    planes = write_planes()
    plate = ("--layout", "plate", "--names", NAMES)
    said = typed(capsys, "copy", "tiffs/", "plate.zarr", *plate)
    assert (said.status, said.err) == (0, "")
    assert "8 of 8 written" in said.out  # fields of two planes each
    config = ZarrConfig(root="plate.zarr", layout=ZarrLayout.PLATE)
    assert list_files(config).unwrap()[:2] == ("A/1/0", "A/1/1")
    both = load(config)("B/2/1").unwrap()
    assert both.payload.shape == (2, 32, 32)
    assert both.payload[:, 0, 0].tolist() == [7, 15]
    assert typed(capsys, "copy", "plate.zarr", "back", "--names", NAMES).status == 0
    assert sorted(path.name for path in Path("back").iterdir()) == sorted(planes)
    for name, plane in planes.items():
        assert np.array_equal(pixels(f"back/{name}"), plane)


VITRA = "Channel {channel}-{column:02}-{row}-{column:02}-{field:02}.tif"

HUMAN = "AS_09125_050116030001_{row}{column:02}f{field:02}d{channel}.tif"

REAL = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"


@pytest.mark.parametrize(
    ("names", "first", "made", "fields"),
    [
        (
            VITRA,
            "field=0",
            [f"Channel {it}-{well}-A-{well}-00.tif" for it in (1, 2) for well in ("01", "12")],
            ("A/1/0", "A/12/0"),
        ),
        (HUMAN, "0", [f"AS_09125_050116030001_D03f00d{it}.tif" for it in range(3)], ("D/3/0",)),
    ],
)
def test_the_names_of_microscopes_come_back(
    capsys: Capsys, names: str, first: str, made: list[str], fields: tuple[str, ...]
) -> None:
    for number, name in enumerate(made):
        write(f"tiffs/{name}", np.full((32, 32), number, np.uint16)).unwrap()
    _assert_comes_back(capsys, "tiffs", (names, first), fields)


@pytest.mark.parametrize(
    ("name", "names", "fields"),
    [("vitra", (VITRA, "field=0"), ("A/1/0", "A/12/0")), ("human", (HUMAN, "0"), ("D/3/0",))],
)
def test_real_plates_come_back(
    capsys: Capsys, name: str, names: tuple[str, str], fields: tuple[str, ...]
) -> None:
    if not (REAL / name).is_dir():
        pytest.skip("the images of others are not here")
    _assert_comes_back(capsys, str(REAL / name), names, fields)


def _assert_comes_back(
    capsys: Capsys, folder: str, named: tuple[str, str], fields: tuple[str, ...]
) -> None:
    names = ("--names", named[0], "--first", named[1])
    said = typed(capsys, "copy", folder, "plate.zarr", "--layout", "plate", *names)
    assert (said.status, said.err) == (0, "")
    assert list_files(ZarrConfig(root="plate.zarr", layout=ZarrLayout.PLATE)).unwrap() == fields
    assert typed(capsys, "copy", "plate.zarr", "back", *names).status == 0
    for path in Path(folder).iterdir():
        assert np.array_equal(pixels(str(path)), pixels(f"back/{path.name}"))
    assert len(list(Path("back").iterdir())) == len(list(Path(folder).iterdir()))
    said = typed(capsys, "verify", folder, "plate.zarr", *names)
    assert (said.status, "equal, bit for bit" in said.out) == (0, True)


COUNTED = "{row}{column:02}_f{field:02}_ch{channel}.tif"  # fields from 0, channels from 1


def write_counted() -> None:
    for well in ("A01", "B03"):
        for field in (0, 1):
            for channel in (1, 2):
                plane = np.full((16, 16), channel, np.uint16)
                write(f"mixed/{well}_f{field:02}_ch{channel}.tif", plane).unwrap()


def test_an_image_that_is_no_plane_is_refused_before_anything_is_written(capsys: Capsys) -> None:
    write_counted()
    plate = ("m.zarr", "--layout", "plate", "--names", COUNTED)
    said = typed(capsys, "copy", "mixed", *plate)
    assert (said.status, said.out) == (2, "")
    assert "4 of 8 images are no planes of the plate" in said.err
    assert "'A01_f00_ch1.tif' does not fit" in said.err
    assert "field 0 is below the first" in said.err
    assert "first={'field': 0} (--first field=0)" in said.err
    assert not Path("m.zarr").exists()
    assert typed(capsys, "copy", "mixed", *plate, "--first", "field=0").status == 0
    said = typed(capsys, "verify", "mixed", "m.zarr", "--names", COUNTED)
    assert (said.status, said.out) == (2, "")
    assert "--first field=0" in said.err


def test_a_copy_says_that_numbers_start_elsewhere(capsys: Capsys) -> None:
    write_counted()
    plate = ("m.zarr", "--layout", "plate", "--names", COUNTED)
    said = typed(capsys, "copy", "mixed", *plate, "--first", "0")
    assert (said.status, "8 of 8 written" in said.out) == (1, True)
    assert said.err == (
        "polystore copy: 4 fields lack planes (A/1/0: c=0, A/1/1: c=0, B/3/0: c=0, ...); "
        "do the numbers start elsewhere? --first field=0,channel=1\n"
    )
    said = typed(capsys, "info", "m.zarr/A/1/0")
    assert (said.status, "--first" in said.err) == (2, True)


@pytest.mark.parametrize("first", ["x", "-1", "field", "field=", "feild=0", "field=0,field=1", ""])
def test_first_numbers_that_are_none_are_said(capsys: Capsys, first: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        typed(capsys, "copy", "a", "b", "--names", VITRA, f"--first={first}")
    assert stopped.value.code == 2
    assert "--first" in capsys.readouterr().err


@pytest.mark.parametrize("alone", [True, False])
def test_planes_that_come_later_are_copied_one_by_one(capsys: Capsys, alone: bool) -> None:
    planes = write_planes()
    gone = "A01_s1_w1.tif"
    Path("tiffs", gone).rename("later.tif")
    plate = ("--layout", "plate", "--names", NAMES)
    said = typed(capsys, "copy", "tiffs", "plate.zarr", *plate)
    assert said.status == 1
    assert "15 of 15 written" in said.out
    assert "1 field lacks planes (A/1/0: c=0); copy those files too" in said.err
    Path("later.tif").rename(Path("tiffs", gone))
    if alone:
        assert typed(capsys, "copy", f"tiffs/{gone}", "plate.zarr", *plate).status == 0
    else:
        said = typed(capsys, "copy", "tiffs", "plate.zarr", *plate, "--if-exists", "skip")
        assert said.status == 0
        assert "1 of 16 written" in said.out
    names = PlateNames(NAMES)
    files_of = ZarrConfig(root="plate.zarr", layout=ZarrLayout.PLATE, names=names)
    assert set(list_files(files_of).unwrap()) == set(planes)

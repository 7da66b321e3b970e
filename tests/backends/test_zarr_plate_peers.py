"""Plates of ours in other programs, and those of others in ours: in fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from plate_writers import CYX, NAMES, plane, save_planes

from polystore import Item, OmeOptions, ZarrConfig, ZarrLayout, delete, list_files, load, save
from polystore.core.payload import HostArray

PEERS = Path(__file__).parent.parent / "peers"
VERSIONS: tuple[Literal["0.5", "0.4"], ...] = ("0.5", "0.4")
WELLS = ("A/1", "B/3")
PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 300, 280)).astype("u2")
FILES = [f"{well}_s1_w{channel}.tif" for well in ("A01", "B03") for channel in (1, 2)]


def peer(package: str, script: str, *arguments: str) -> list[Any]:
    """Run a script that uses a package; give the lines of JSON that it prints."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    command = [sys.executable, str(PEERS / f"{script}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def plate_of(root: Path, version: Literal["0.5", "0.4"]) -> ZarrConfig:
    return ZarrConfig(root=root, layout=ZarrLayout.PLATE, ome=OmeOptions(version=version))


def field(well: str) -> HostArray:
    return PIXELS + np.uint16(WELLS.index(well))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a plate of each version, and one of planes saved by their names."""
    folder = tmp_path_factory.mktemp("plates")
    for version in VERSIONS:
        plate = plate_of(folder / version, version)
        for well in WELLS:
            save(plate)(Item(f"{well}/0", field(well), CYX)).unwrap()
        save(plate)(Item("A/1/0/labels/nuclei", (PIXELS // 100).astype("u1"), CYX)).unwrap()
    names = ZarrConfig(root=folder / "names", layout=ZarrLayout.PLATE, names=NAMES)
    save_planes(names, FILES)
    return folder


def stitched(fields: dict[str, HostArray]) -> HostArray:
    """Give the wells of a plate of two rows and two columns, side by side."""
    one, other = fields.values()
    nothing = np.zeros_like(one)
    above = np.concatenate([one, nothing], axis=-1)
    return np.concatenate([above, np.concatenate([nothing, other], axis=-1)], axis=-2)


def test_ome_zarr_models_validates_plate_wells_and_fields(ours: Path) -> None:
    said = [f"{version} plate={ours / version}" for version in VERSIONS]
    said += [f"{version} well={ours / version / well}" for version in VERSIONS for well in WELLS]
    said += [f"{version} image={ours / version / 'B/3/0'}" for version in VERSIONS]
    said += [f"0.5 plate={ours / 'names'}", f"0.5 image={ours / 'names/B/3/0'}"]
    for version in VERSIONS:
        labels = ours / version / "A/1/0/labels"
        said += [f"{version} labels={labels}", f"{version} label={labels / 'nuclei'}"]
    models = peer("ome_zarr_models", "validate_ome_zarr_models", *said)
    assert len(models) == len(said)
    plate = models[0]["ome"]["plate"]
    assert [well["path"] for well in plate["wells"]] == list(WELLS)
    assert plate["field_count"] == 1
    assert models[-2]["labels"] == ["nuclei"]
    assert models[-1]["image-label"]["source"] == {"image": "../../"}


def test_ome_zarr_py_reads_the_wells_where_they_are(ours: Path, tmp_path: Path) -> None:
    paths = [str(ours / name) for name in (*VERSIONS, "names")]
    words = peer("ome_zarr", "plates_read_ome_zarr_py", str(tmp_path), *paths)
    expected = stitched({well: field(well) for well in WELLS})
    for number in range(2):
        assert words[number] == {"rows": ["A", "B"], "columns": ["1", "3"], "wells": [*WELLS]}
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), expected)
    planes = {
        well: np.stack([plane(f"{well}_s1_w{c}.tif") for c in (1, 2)]) for well in ("A01", "B03")
    }
    np.testing.assert_array_equal(np.load(tmp_path / "2.npy"), stitched(planes))


def test_napari_reads_our_plates(ours: Path, tmp_path: Path) -> None:
    paths = [str(ours / name) for name in (*VERSIONS, "names")]
    words = peer("napari_ome_zarr", "read_napari_ome_zarr", str(tmp_path), *paths)
    assert [it["kinds"][0] for it in words] == ["image"] * 3
    assert [it["channel_axis"] for it in words] == [0, 0, 0]
    expected = stitched({well: field(well) for well in WELLS})
    for number in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), expected)


def test_a_plate_of_ome_zarr_py_is_ours_too(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", PIXELS)
    peer("ome_zarr", "plates_write_ome_zarr_py", str(tmp_path / "pixels.npy"), str(tmp_path))
    for name, version in zip(("v05", "v04"), VERSIONS, strict=True):
        plate = plate_of(tmp_path / name, version)
        assert list_files(plate).unwrap() == ("A/1/0", "A/1/1", "B/2/0", "B/2/1")
        np.testing.assert_array_equal(load(plate)("B/2/1").unwrap().payload, PIXELS + np.uint16(1))
        by_names = ZarrConfig(root=plate.root, layout=ZarrLayout.PLATE, names=NAMES)
        assert list_files(by_names).unwrap()[-1] == "B02_s2_w2.tif"
        np.testing.assert_array_equal(load(by_names)("A01_s1_w2.tif").unwrap().payload, PIXELS[1])
        save(plate)(Item("C/10/0", PIXELS, CYX)).unwrap()
        delete(plate, "B/2/1").unwrap()
    said = [
        f"{version} plate={tmp_path / name}" for name, version in (("v04", "0.4"), ("v05", "0.5"))
    ]
    first, second = peer("ome_zarr_models", "validate_ome_zarr_models", *said)
    for plate_words in (first["plate"], second["ome"]["plate"]):
        assert [row["name"] for row in plate_words["rows"]] == ["A", "B", "C"]
        assert [column["name"] for column in plate_words["columns"]] == ["1", "2", "3", "10"]
        assert [well["path"] for well in plate_words["wells"]] == ["A/1", "B/2", "C/10"]
        assert plate_words["name"] == "theirs"
        assert plate_words["field_count"] == 2

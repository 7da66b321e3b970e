"""OME-Zarr images of ours in other programs, and those of others in ours: in fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from polystore import (
    Item,
    Metadata,
    OmeOptions,
    ZarrConfig,
    ZarrLayout,
    list_files,
    load,
    save,
)
from polystore.core.payload import HostArray

PEERS = Path(__file__).parent.parent / "peers"
UM = "micrometer"
PIXELS = np.random.default_rng(0).integers(0, 4000, (2, 515, 300)).astype("u2")
IMAGE = Metadata(
    axes=("c", "y", "x"), scale=(1, 0.5, 0.25), unit=("", UM, UM), channel_names=("DAPI", "GFP")
)
OTHERS: dict[str, tuple[HostArray, Metadata]] = {
    "mask": (PIXELS[0] > 2000, Metadata()),
    "rgb": (PIXELS.astype("u1").transpose(1, 2, 0), Metadata(axes=("y", "x", "s"))),
    "angles": (PIXELS[:, None], Metadata(axes=("angle", "z", "y", "x"))),
    "all": (PIXELS[None, :, None], Metadata(axes=("t", "c", "z", "y", "x"))),
    "f2": (PIXELS[0].astype("f2"), Metadata()),
    "f4": (PIXELS[0].astype("f4"), Metadata()),
    "f8": (PIXELS[0].astype("f8"), Metadata()),
    "i8": (PIXELS[0].astype("i8"), Metadata()),
    "big": (PIXELS[0].astype(">u2"), Metadata(scale=(2, 3), unit=(UM, UM))),
    "small": (PIXELS[0, :9, :5], Metadata()),
}
LEVELS = {"0.5": "zarr3", "0.4": "zarr"}


def peer(package: str, script: str, *arguments: str) -> list[Any]:
    """Run a script that uses a package; give the lines of JSON that it prints."""
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    command = [sys.executable, str(PEERS / f"{script}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with stores of both versions, of the same images."""
    folder = tmp_path_factory.mktemp("ours")
    versions: tuple[Literal["0.5", "0.4"], ...] = ("0.5", "0.4")
    for version in versions:
        ome = OmeOptions(version=version)
        store = ZarrConfig(root=folder / version, layout=ZarrLayout.IMAGE, ome=ome)
        to = save(store)
        to(Item("img", PIXELS, IMAGE)).unwrap()
        to(Item("img/labels/nuclei", (PIXELS[0] // 100).astype("i4"))).unwrap()
        to(Item("img/labels/cells", (PIXELS[0] // 900).astype("u1"))).unwrap()
        for key, (pixels, metadata) in OTHERS.items():
            to(Item(key, pixels, metadata)).unwrap()
    return folder


def images(folder: Path) -> list[Path]:
    return [folder / version / key for version in LEVELS for key in ("img", *OTHERS)]


def stored(path: Path) -> HostArray:
    """Give the pixels of an image in the order in which they are stored."""
    if path.name == "img":
        return PIXELS
    pixels = OTHERS[path.name][0]
    return pixels.transpose(2, 0, 1) if path.name == "rgb" else pixels


def test_ome_zarr_models_validates_each_image_and_label(ours: Path) -> None:
    said = [f"{path.parent.name} image={path}" for path in images(ours)]
    for version in LEVELS:
        labels = ours / version / "img" / "labels"
        said.append(f"{version} labels={labels}")
        said.extend(f"{version} label={labels / name}" for name in ("nuclei", "cells"))
    words = peer("ome_zarr_models", "validate_ome_zarr_models", *said)
    assert len(words) == len(said)
    assert words[-3] == {"labels": ["nuclei", "cells"]}
    assert words[-2]["image-label"]["source"] == {"image": "../../"}
    axes = [axis["unit"] for axis in words[-2]["multiscales"][0]["axes"]]
    assert axes == [UM, UM]


def test_ome_zarr_py_reads_the_same_pixels(ours: Path, tmp_path: Path) -> None:
    paths = images(ours)
    words = peer("ome_zarr", "read_ome_zarr_py", str(tmp_path), *map(str, paths))
    for number, path in enumerate(paths):
        assert np.array_equal(np.load(tmp_path / f"{number}.npy"), stored(path)), path
    for first in (words[0], words[len(words) // 2]):
        assert first["names"] == ["DAPI", "GFP"]
        assert first["scale"] == [1, 0.5, 0.25]
        assert first["levels"] == [[2, 515, 300], [2, 258, 150], [2, 129, 75]]
        assert first["nodes"] == 4  # the image, its labels, and each of them


def test_napari_reads_the_same_pixels_and_labels(ours: Path, tmp_path: Path) -> None:
    paths = images(ours)
    words = peer("napari_ome_zarr", "read_napari_ome_zarr", str(tmp_path), *map(str, paths))
    for number, path in enumerate(paths):
        assert np.array_equal(np.load(tmp_path / f"{number}.npy"), stored(path)), path
    for first in (words[0], words[len(words) // 2]):
        assert first["kinds"] == ["image", "labels", "labels"]
        assert first["name"] == ["img: DAPI", "img: GFP"]
        assert first["channel_axis"] == 0


def test_tensorstore_reads_the_same_pixels_of_each_level(ours: Path, tmp_path: Path) -> None:
    paths = [
        (ours / version / "img" / str(level), driver)
        for version, driver in LEVELS.items()
        for level in range(3)
    ]
    said = [f"{driver}={path}" for path, driver in paths]
    peer("tensorstore", "read_tensorstore", str(tmp_path), *said)
    for number, (path, _) in enumerate(paths):
        store = ZarrConfig(root=path.parent.parent, layout=ZarrLayout.IMAGE)
        level = load(store)(f"img/{path.name}").unwrap().payload
        assert np.array_equal(np.load(tmp_path / f"{number}.npy"), level)


@pytest.mark.parametrize("key", ["v04", "v05"])
@pytest.mark.parametrize(
    ("package", "known"),
    [
        ("ome_zarr", IMAGE),
        ("ngff_zarr", Metadata(axes=IMAGE.axes, scale=IMAGE.scale, unit=IMAGE.unit)),
    ],
)
def test_images_of_others_are_read_with_all_that_they_say(
    key: str, package: str, known: Metadata, theirs: Path
) -> None:
    store = ZarrConfig(root=theirs / package, layout=ZarrLayout.IMAGE)
    if not (theirs / package).is_dir():
        pytest.skip(f"{package} is not installed")
    item = load(store)(key).unwrap()
    assert np.array_equal(item.payload, PIXELS)
    for field in ("axes", "scale", "unit", "channel_names"):
        assert getattr(item.metadata, field) == getattr(known, field)
    assert ("omero" in item.metadata.attributes) is (package == "ome_zarr")
    if package == "ngff_zarr":
        assert item.metadata.attributes["translation"] == [0, 10, 20]
    lazy = load(store, lazy=True)(key).unwrap().payload
    assert np.array_equal(
        lazy.read((slice(1, 2), slice(9, 80), slice(5))).unwrap(), PIXELS[1:, 9:80, :5]
    )
    level = load(store)(f"{key}/{_second(theirs / package / key)}").unwrap()
    assert level.payload.shape == (2, 257, 150)  # both leave out what is odd
    assert level.metadata.scale == pytest.approx((1, 1, 0.5), rel=0.01)


def _second(image: Path) -> str:
    names = {"s1", "1", "scale1/image"}
    return next(name for name in sorted(names) if (image / name).is_dir())


def test_an_image_of_others_goes_through_ours_with_its_display_settings(
    theirs: Path, tmp_path: Path
) -> None:
    if not (theirs / "ome_zarr").is_dir():
        pytest.skip("ome_zarr is not installed")
    source = ZarrConfig(root=theirs / "ome_zarr", layout=ZarrLayout.IMAGE)
    assert list_files(source).unwrap() == ("v04", "v05")
    assert list_files(source, folder="v05/labels").unwrap() == ("v05/labels/nuclei",)
    target = ZarrConfig(root=tmp_path, layout=ZarrLayout.IMAGE)
    item = load(source)("v05").unwrap()
    save(target)(Item("copy", item.payload, item.metadata)).unwrap()
    found = json.loads((tmp_path / "copy" / "zarr.json").read_text())
    given = json.loads((theirs / "ome_zarr" / "v05" / "zarr.json").read_text())
    shown = {**found["attributes"]["ome"]["omero"], "version": "0.5"}  # as ome-zarr-py has it
    assert shown == given["attributes"]["ome"]["omero"]
    assert load(target)("copy").unwrap().metadata == item.metadata


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the images that other programs wrote, as far as they are installed."""
    folder = tmp_path_factory.mktemp("theirs")
    np.save(folder / "pixels.npy", PIXELS)
    scripts = {"ome_zarr": "write_ome_zarr_py", "ngff_zarr": "write_ngff_zarr"}
    for package, script in scripts.items():
        if find_spec(package) is not None:
            peer(package, script, str(folder / "pixels.npy"), str(folder / package))
    return folder

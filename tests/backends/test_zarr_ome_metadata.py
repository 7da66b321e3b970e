"""The metadata of OME-Zarr images: both ways, of others, and damaged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from zarr_files import memory_files

from polystore import (
    Corrupt,
    Item,
    Json,
    Metadata,
    UnsupportedOperation,
    ZarrConfig,
    ZarrLayout,
    is_successful,
    load,
    save,
)
from polystore.backends.zarr.elements.meta import Documents
from polystore.backends.zarr.ome.axes import image_axes
from polystore.backends.zarr.ome.describe import Form, described, metadata_in
from polystore.backends.zarr.ome.loading import load_image
from polystore.backends.zarr.ome.metadata import Level, OmeImage, image_in, image_json
from polystore.backends.zarr.ome.omero import given_omero, omero_json

SIZES = st.floats(1e-6, 1e6)
Changed: TypeAlias = "dict[str, Any]"


@st.composite
def ome_images(draw: st.DrawFn) -> OmeImage:
    axes = draw(st.sampled_from([("y", "x"), ("c", "y", "x"), ("t", "angle", "z", "y", "x")]))
    numbers = st.tuples(*[SIZES] * len(axes))
    units = draw(st.tuples(*[st.sampled_from(["", "micrometer", "second"])] * len(axes)))
    levels = [
        Level(str(number), draw(numbers), draw(numbers | st.just((0.0,) * len(axes))))
        for number in range(draw(st.integers(1, 3)))
    ]
    return OmeImage(
        draw(st.sampled_from(["0.4", "0.5"])),
        axes,
        units,
        tuple(levels),
        draw(st.sampled_from(["", "name"])),
        draw(st.sampled_from(["", "mean", "gaussian"])),
        draw(st.none() | st.just({"channels": [{"label": "DAPI"}]})),
        draw(st.none() | st.just({"source": {"image": "../../"}})),
        draw(st.sampled_from([dict[str, Json](), {"other": [1]}])),
    )


@given(ome_images())
def test_what_is_written_is_read_back_equal(image: OmeImage) -> None:
    written = json.loads(json.dumps(image_json(image)))
    assert image_in(written).unwrap() == image
    found = image_in(written).unwrap()
    assert (found.omero, found.label, found.others) == (image.omero, image.label, image.others)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = ["multiscales", "axes", "datasets", "path", "coordinateTransformations", "scale", "type"]


def changed(draw: st.DrawFn, value: Json) -> Json:
    """Give JSON of which one part, anywhere in it, is something else or is gone."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(value)))
        rest: dict[str, Json] = {key: inner for key, inner in value.items() if key != name}
        return {**rest, name: changed(draw, value[name])} if draw(st.integers(0, 3)) else rest
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], changed(draw, value[at]), *value[at + 1 :]]
    return draw(JSON)


@given(st.data(), ome_images())
def test_damaged_metadata_is_an_error_and_never_raises(
    data: st.DataObject, image: OmeImage
) -> None:
    attributes = st.composite(lambda draw: changed(draw, image_json(image)))
    given = data.draw(attributes())
    if not isinstance(given, dict):
        return
    found = image_in(given)
    if not is_successful(found):
        assert isinstance(found.failure(), Corrupt | UnsupportedOperation)
        return
    metadata_in(found.unwrap())
    seen = load_image(memory_files({}), Documents("group", 3, {}, given), "key", 2**20)
    assert isinstance(seen.outcome.failure(), Corrupt | UnsupportedOperation)


def good() -> Changed:
    image = OmeImage("0.5", ("y", "x"), ("", ""), (Level("0", (1.0, 1.0), (0.0, 0.0)),))
    return json.loads(json.dumps(image_json(image)))["ome"]["multiscales"][0]  # type: ignore[no-any-return]


DAMAGES: dict[str, Changed] = {
    "no axes": {"axes": []},
    "an axis without a name": {"axes": [{"type": "space"}, {"name": "x"}]},
    "an axis twice": {"axes": [{"name": "x"}, {"name": "x"}]},
    "one scale too few": {
        "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1]}]}]
    },
    "a scale of text": {"coordinateTransformations": [{"type": "scale", "scale": ["1", "1"]}]},
    "a scale beyond numbers": {
        "coordinateTransformations": [{"type": "scale", "scale": [10**400, 1]}]
    },
    "a rotation": {"coordinateTransformations": [{"type": "rotation", "rotation": [1, 1]}]},
    "no datasets": {"datasets": []},
    "a path that leads out": {"datasets": [{"path": "../other/0"}]},
    "an absolute path": {"datasets": [{"path": "/etc"}]},
    "an empty path": {"datasets": [{"path": ""}]},
}


@pytest.mark.parametrize("what", DAMAGES)
def test_contradictory_metadata_is_corrupt(what: str) -> None:
    attributes: dict[str, Json] = {
        "ome": {"version": "0.5", "multiscales": [{**good(), **DAMAGES[what]}]}
    }
    assert isinstance(image_in(attributes).failure(), Corrupt)


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3", "0.6", "1.0", 5])
def test_other_versions_are_named(version: Json) -> None:
    found = image_in({"ome": {"version": version, "multiscales": [good()]}})
    assert isinstance(found.failure(), UnsupportedOperation)
    assert str(version) in found.failure().message


def test_transformations_of_all_levels_come_after_those_of_each() -> None:
    steps = [{"type": "scale", "scale": [2, 4]}, {"type": "translation", "translation": [1, 1]}]
    own = [{"type": "scale", "scale": [3, 5]}, {"type": "translation", "translation": [10, 20]}]
    dataset = {"path": "0", "coordinateTransformations": own}
    words = {**good(), "coordinateTransformations": steps, "datasets": [dataset]}
    level = image_in({"multiscales": [{**words, "version": "0.4"}]}).unwrap().levels[0]
    assert level == Level("0", (6.0, 20.0), (21.0, 81.0))


@given(st.integers(1, 999), st.integers(1, 999), SIZES, SIZES)
def test_a_level_lies_where_the_mean_of_its_pixels_does(
    height: int, width: int, y: float, x: float
) -> None:
    axes = image_axes(2, ("y", "x")).unwrap()
    metadata = Metadata(scale=(y, x), attributes={"translation": [3.0, -2.0]})
    form = Form("0.5", "mean", ("0", "1", "2"))
    image = described(metadata, axes, (height, width), form)
    for axis, (length, step, at) in enumerate(((height, y, 3.0), (width, x, -2.0))):
        for number, level in enumerate(image.levels):
            by = min(2**number, 1 << (length - 1).bit_length())
            middle = at + step * sum(range(by)) / by
            assert level.scale[axis] == pytest.approx(step * by)
            assert level.translation[axis] == pytest.approx(middle)
    nearest = described(metadata, axes, (height, width), evolve(form, downsampling="nearest"))
    assert all(level.translation == (3.0, -2.0) for level in nearest.levels)


def test_settings_of_channels_are_taken_where_they_fit() -> None:
    ours = omero_json([(1.0, 9.0), (0.0, 3.0)], np.dtype("u2"), ["a", "b"], 5)
    assert given_omero(ours, 2, ()) == ours
    renamed = given_omero(ours, 2, ("a", "c"))
    assert renamed is not None
    assert renamed["channels"] != ours["channels"]
    assert given_omero(ours, 3, ()) is None
    assert given_omero({"channels": [{"color": "red", "window": {}}]}, 1, ()) is None
    flat = omero_json([(2.0, 2.0), (math.nan, math.nan)], np.dtype("f4"), [], 1)
    json.dumps(flat, allow_nan=False)


@pytest.mark.parametrize("what", ["an array that is not there", "other axes", "lost notes"])
def test_an_image_that_is_not_as_its_metadata_says(what: str, tmp_path: Path) -> None:
    store = ZarrConfig(root=tmp_path, layout=ZarrLayout.IMAGE)
    save(store)(Item("img", np.zeros((4, 5, 3), "u1"), Metadata(axes=("y", "x", "c")))).unwrap()
    path = tmp_path / "img" / "zarr.json"
    document = json.loads(path.read_text())
    multiscale = document["attributes"]["ome"]["multiscales"][0]
    if what == "an array that is not there":
        multiscale["datasets"][0]["path"] = "7"
    elif what == "other axes":
        multiscale["axes"].pop(0)
        for dataset in multiscale["datasets"]:
            for step in dataset["coordinateTransformations"]:
                step[step["type"]].pop(0)
    else:
        document["attributes"]["polystore"]["transposed"] = [0, 0, 1]
    path.write_text(json.dumps(document))
    assert isinstance(load(store)("img").failure(), Corrupt)
    assert isinstance(load(store, lazy=True)("img").failure(), Corrupt)


def test_a_missing_or_damaged_chunk_of_an_image_is_corrupt(tmp_path: Path) -> None:
    versions: tuple[Literal["truncated", "missing"], ...] = ("truncated", "missing")
    for what in versions:
        store = ZarrConfig(root=tmp_path / what, layout=ZarrLayout.IMAGE)
        save(store)(Item("img", np.ones((40, 50), "u2"))).unwrap()
        files = [
            path for path in (tmp_path / what / "img" / "0" / "c").rglob("*") if path.is_file()
        ]
        for path in files:
            if what == "missing":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:-3])
        assert isinstance(load(store)("img").failure(), Corrupt)

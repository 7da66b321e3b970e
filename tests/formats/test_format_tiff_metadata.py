"""Whatever is known of an array comes back from a TIFF as it was, or the save said what is lost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tifffile import TiffFile

from polystore import DiskConfig, load, save
from polystore.configs import TiffOptions
from polystore.core.errors import UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import Json
from polystore.core.records import Codec, Decoded, Limits
from polystore.formats.tiff import OME_TIFF_CODEC, TIFF_CODEC

Kind = Literal["auto", "imagej", "plain"]

DTYPES = [np.dtype(letter) for letter in "?bhilqBHILQefdFD"]

UNITS = st.sampled_from(
    ("", "micrometer", "nanometer", "angstrom", "inch", "pixel", "furlong", "µm", "second", "day",
     "millisecond", "li", "a\nb", " ", "é")
)  # fmt: skip
STEPS = st.one_of(
    st.sampled_from((1.0, 0.65, 0.1, 1 / 3, 0.0, -1.0, 1e-30, 1e30, 5e-324, math.nan, math.inf)),
    st.floats(1e-6, 1e6),
)
TEXTS = st.one_of(st.sampled_from(("DAPI", "", "a\nb", "\ud800", "\x00", '<&">')), st.text())
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OTHER_AXES = st.sampled_from(("time", "c", "q", "s", "i", "T", "y", "x", "é", ""))


@st.composite
def known_arrays(draw: st.DrawFn) -> tuple[NDArray[Any], Metadata]:
    """Give an array and what is known of it: some of it as microscopes know it, some at random."""
    axes = draw(
        st.one_of(
            st.lists(st.sampled_from("tzc"), unique=True, max_size=3).map(lambda it: (*it, *"yx")),
            st.lists(st.sampled_from("tzc"), unique=True, max_size=3)
            .map(lambda it: tuple(sorted(it, key="tzc".index)))
            .map(lambda it: (*it, *"yx")),
            st.sampled_from((("y", "x", "c"), ("t", "y", "x", "c"), ("z", "t", "y", "x", "c"))),
            st.permutations("tzcyx").map(tuple),
            st.lists(OTHER_AXES, max_size=6).map(tuple),
        )
    )
    shape = draw(
        st.tuples(*[st.sampled_from((1, 2, 3, 4)) for _ in axes]).filter(
            lambda lengths: math.prod(lengths) < 400
        )
    )
    dtype = draw(st.sampled_from((*(np.dtype(it) for it in ("u1", "u2", "f4")), *DTYPES)))
    array = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    ndim = len(shape)
    channels = shape[axes.index("c")] if "c" in axes else 1
    metadata = Metadata(
        axes=draw(st.sampled_from((axes, (), axes))),
        scale=draw(st.just(()) | st.tuples(*[STEPS] * ndim)),
        unit=draw(st.just(()) | st.tuples(*[UNITS] * ndim) | st.just(("micrometer",) * ndim)),
        channel_names=draw(st.just(()) | st.tuples(*[TEXTS] * channels) | st.just(("DAPI",))),
        attributes=draw(st.just(dict[str, Json]()) | st.dictionaries(TEXTS, JSONS, max_size=3)),
    )
    return array, metadata


def round_trip(
    codec: Codec[Any], array: NDArray[Any], metadata: Metadata, options: object = None
) -> tuple[Decoded[NDArray[Any]], tuple[str, ...]] | None:
    outcome = codec.encode(Item("x", array, metadata), options)
    if not is_successful(outcome):
        assert isinstance(outcome.failure(), UnsupportedPayload)
        return None
    encoded = outcome.unwrap()
    content = joined(encoded)
    got: Decoded[NDArray[Any]] = codec.decode(source_of(content), Limits()).unwrap()
    assert got.payload.shape == array.shape
    assert got.payload.dtype == array.dtype
    assert got.payload.tobytes() == array.tobytes()
    for name in metadata.present():
        if name not in encoded.dropped:
            assert getattr(got.metadata, name) == getattr(metadata, name), name
    for name in ("axes", "scale", "unit", "channel_names", "attributes"):
        if name not in metadata.present() or name in encoded.dropped:
            made_up = name == "axes" and set(metadata.present()) <= set(encoded.dropped)
            assert not getattr(got.metadata, name) or made_up, name
    return got, encoded.dropped


@given(known_arrays(), st.sampled_from(("auto", "imagej", "plain")))
def test_a_tiff_keeps_what_is_known(known: tuple[NDArray[Any], Metadata], kind: Kind) -> None:
    array, metadata = known
    assert round_trip(TIFF_CODEC, array, metadata, TiffOptions(kind=kind)) or (
        kind == "imagej" or (array.dtype == np.bool_ and array.size == 1)
    )


@given(known_arrays())
def test_an_ome_tiff_keeps_what_is_known(known: tuple[NDArray[Any], Metadata]) -> None:
    round_trip(OME_TIFF_CODEC, *known)


@pytest.mark.parametrize("key", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("unit", ["µm", "um", "micron", "micrometer"])
def test_sizes_in_symbols_are_seen_by_others(tmp_path: Path, key: str, unit: str) -> None:
    known = Metadata(axes=("y", "x"), scale=(0.5, 0.25), unit=(unit, unit))
    disk = DiskConfig(root=tmp_path)
    saved = save(disk)(Item(key, np.zeros((4, 5), np.uint8), known)).unwrap()
    assert saved.dropped == ()
    assert load(disk)(key).unwrap().metadata == known
    with TiffFile(tmp_path / key) as tif:
        if tif.is_ome:
            assert 'PhysicalSizeX="0.25"' in (tif.ome_metadata or "")
        else:
            assert tif.pages.first.tags.valueof("XResolution") == (4, 1)


@pytest.mark.parametrize("name", ["\ud83d\ude00", "\ud800"])
def test_halves_of_characters_are_dropped_aloud(tmp_path: Path, name: str) -> None:
    known = Metadata(attributes={name: 1, "\U0001f600": 2})
    saved = save(DiskConfig(root=tmp_path))(Item("a.tif", np.zeros((4, 5), np.uint8), known))
    assert saved.unwrap().dropped == ("attributes",)

"""What each format takes, beside the laws that all are held to (tests/testing)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pytest
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from polystore.configs import PngOptions, TiffOptions
from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.item import Item, Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import ALIGNMENT, HostArray, Payload
from polystore.core.records import Codec, Limits
from polystore.formats.bmp import BMP_CODEC
from polystore.formats.npy import ML_NPY_CODEC, NPY_CODEC
from polystore.formats.png import PNG_CODEC
from polystore.formats.tiff import OME_TIFF_CODEC, TIFF_CODEC
from polystore.testing.arrays import PLAIN_DTYPES, arrays, images

CODECS = {
    "npy": NPY_CODEC,
    "npy of ml_dtypes": ML_NPY_CODEC,
    "tiff": TIFF_CODEC,
    "ome-tiff": OME_TIFF_CODEC,
    "png": PNG_CODEC,
    "bmp": BMP_CODEC,
}
of_every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
Compression: TypeAlias = Literal["none", "deflate", "lzw", "packbits", "zstd"]
COMPRESSIONS: tuple[Compression, ...] = get_args(Compression)

OPTIONS: st.SearchStrategy[object] = st.one_of(
    st.none(),
    st.builds(TiffOptions, st.sampled_from(COMPRESSIONS)),
    st.builds(PngOptions, st.integers(0, 9)),
)


def bits(array: HostArray) -> bytes:
    """Give the elements in C order and native byte order: what an array is, in whatever layout."""
    return array.astype(array.dtype.newbyteorder("=")).tobytes()


def comes_back(codec: Codec[HostArray], array: HostArray, options: object = None) -> bool:
    """Encode and decode; `False` if the encoder said that it cannot."""
    encoded = codec.encode(Item("x", array), options)
    if not is_successful(encoded):
        assert isinstance(encoded.failure(), UnsupportedPayload | Lossy)
        assert encoded.failure().message
        assert encoded.failure().advice
        return False
    decoded = codec.decode(source_of(joined(encoded.unwrap())), Limits())
    got = decoded.unwrap().payload
    assert type(got) is np.ndarray
    assert got.shape == array.shape
    assert got.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert bits(got) == bits(np.asarray(array))
    assert got.ctypes.data % ALIGNMENT == 0 or got.size == 0
    assert got.flags.writeable
    return True


ODD_ONES: dict[str, NDArray[Any]] = {
    "tifffile cannot read its own": np.ones((1, 1, 1, 1, 1), np.uint8),
    "tifffile warns that it guesses": np.ones((5, 4, 3), np.float32),
    "tifffile guesses at the planes": np.ones((3, 5, 4), np.uint8),
    "tifffile writes it, and cannot read it": np.ones((2, 2), np.longdouble),
    "tifffile raises IndexError": np.ones((), np.bool_),
    "one element is masked": np.ma.array([1, 2], mask=[True, False]),
}


@of_every_codec
@pytest.mark.parametrize("array", ODD_ONES.values(), ids=ODD_ONES.keys())
def test_what_libraries_get_wrong_comes_back_or_is_refused(
    codec: Codec[HostArray], array: NDArray[Any]
) -> None:
    comes_back(codec, array)


@given(arrays(st.sampled_from([np.dtype(it) for it in ("u1", "<u2", ">u2", "<f4")])), OPTIONS)
def test_memory_is_aligned_whatever_the_options(array: NDArray[Any], options: object) -> None:
    for codec in CODECS.values():
        comes_back(codec, array, options if isinstance(options, codec.options or ()) else None)


@given(arrays(st.sampled_from(PLAIN_DTYPES)))
def test_npy_takes_every_dtype_of_numpys_own(array: NDArray[Any]) -> None:
    assert comes_back(NPY_CODEC, array)
    content = joined(NPY_CODEC.encode(Item("x", array), None).unwrap())
    got = NPY_CODEC.decode(source_of(content), Limits()).unwrap().payload
    assert got.dtype == array.dtype  # the byte order, too
    assert got.flags.f_contiguous or not array.flags.f_contiguous


@given(
    arrays(st.sampled_from([np.dtype(letter) for letter in "?bhilqBHILQefdFD"])),
    st.sampled_from(COMPRESSIONS),
)
def test_tiff_takes_all_numbers_to_64_bits(array: NDArray[Any], compression: Compression) -> None:
    single_bool = array.dtype == np.bool_ and array.size == 1 and array.ndim < 2
    expected = array.size > 0 and not single_bool
    assert comes_back(TIFF_CODEC, array, TiffOptions(compression=compression)) is expected


@given(images(), st.integers(0, 9))
def test_png_takes_every_image_of_8_and_16_bits(array: NDArray[Any], level: int) -> None:
    assert comes_back(PNG_CODEC, array, PngOptions(level=level))


@of_every_codec
@pytest.mark.parametrize("payload", [None, 1.5, "text", {"a": [1]}, np.float32(2)])
def test_what_is_no_array_is_refused(codec: Codec[HostArray], payload: Payload) -> None:
    refused = codec.encode(Item("x", payload), None)
    assert isinstance(refused.failure(), UnsupportedPayload)


@of_every_codec
def test_masked_elements_are_refused(codec: Codec[HostArray]) -> None:
    masked = np.ma.masked_equal(np.arange(6, dtype=np.uint8).reshape(2, 3), 4)
    assert isinstance(codec.encode(Item("x", masked), None).failure(), Lossy)


@of_every_codec
def test_metadata_that_is_not_kept_is_named(codec: Codec[HostArray]) -> None:
    image = np.zeros((2, 3), np.uint8)
    known = Metadata(
        axes=("y", "x"),
        scale=(0.5, 0.5),
        unit=("micrometer", "micrometer"),
        channel_names=("DAPI",),
        attributes={"well": "A01"},
    )
    encoded = codec.encode(Item("x", image, known), None).unwrap()
    got = codec.decode(source_of(joined(encoded)), Limits()).unwrap().metadata
    kept = {name for name in known.present() if getattr(got, name) == getattr(known, name)}
    assert set(encoded.dropped) == set(known.present()) - kept
    assert codec.encode(Item("x", image), None).unwrap().dropped == ()

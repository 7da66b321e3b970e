"""The laws of formats that open arrays lazily: a region is the slice of the whole."""

from __future__ import annotations

import math

import numpy as np
from attrs import frozen

from polystore.core.errors import TooLarge, UnsupportedOperation
from polystore.core.item import Metadata
from polystore.core.outcome import is_successful
from polystore.core.payload import HostArray, LazyArray, Region, is_host_array
from polystore.core.records import Codec, Limits, Readable, readable_of
from polystore.testing.codecs.examples import CodecExample, bytes_of_item
from polystore.testing.codecs.trips import on_host, plain, taken
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference

__all__ = [
    "is_specified_as_decoded",
    "keeps_to_the_limit_in_a_region",
    "opens_without_reading_all",
    "reads_the_region",
    "refuses_no_region",
]


@frozen(eq=False)
class _Both:
    """One file decoded whole, and opened lazily."""

    whole: HostArray
    metadata: Metadata
    lazy: LazyArray
    lazy_metadata: Metadata


def _both(codec: Codec[object], example: CodecExample) -> _Both | None:
    encoded = codec.encode(example.item(codec), example.how(codec))
    if codec.open is None or not taken(encoded, example):
        return None
    content = bytes_of_item(encoded.unwrap())
    decoded = codec.decode(readable_of(content), Limits())
    opened = codec.open(readable_of(content), Limits())
    if not is_successful(decoded):
        expect(not is_successful(opened), "it cannot be decoded, and can be opened")
        return None
    whole = plain(on_host(decoded.unwrap().payload))
    if not is_host_array(whole):
        return None
    if not is_successful(opened) and isinstance(opened.failure(), UnsupportedOperation):
        return None  # this kind of array is not read in parts
    lazy = done(opened, "opening what can be decoded")
    return _Both(whole, decoded.unwrap().metadata, lazy.payload, lazy.metadata)


def reads_the_region(
    codec: Codec[object], example: tuple[CodecExample, tuple[tuple[int, int], ...]]
) -> None:
    """Expect the elements of the slice, in memory of their own at each read."""
    both = _both(codec, example[0])
    if both is None:
        return
    region = _region(both.whole.shape, example[1])
    first, second = (done(both.lazy.read(region), f"reading {region}") for _ in range(2))
    found = difference(np.asarray(both.whole[region]), plain(first))
    expect(found is None, f"{region} is not the slice of the whole: {found}")
    expect(first.flags.writeable, "a region cannot be written to")
    expect(not np.may_share_memory(first, second), "two reads share memory")


def _region(shape: tuple[int, ...], bounds: tuple[tuple[int, int], ...]) -> Region:
    """Give a slice within each axis; bounds go round."""
    around = (bounds[axis % len(bounds)] for axis in range(len(shape)))
    ends = (
        sorted(bound % (length + 1) for bound in pair)
        for length, pair in zip(shape, around, strict=True)
    )
    return tuple(slice(low, high) for low, high in ends)


def is_specified_as_decoded(codec: Codec[object], example: CodecExample) -> None:
    """Expect a spec, and metadata, that say what decode gives."""
    both = _both(codec, example)
    if both is None:
        return
    spec = both.lazy.spec
    expect(spec.shape == both.whole.shape, f"its shape is {both.whole.shape}, and not {spec.shape}")
    dtype = np.dtype(spec.dtype).newbyteorder("=")
    expect(dtype == both.whole.dtype, f"its dtype is {both.whole.dtype}, and not {spec.dtype}")
    expect(len(spec.blocks) == len(spec.shape), f"its blocks are {spec.blocks}")
    expect(all(length > 0 for length in spec.blocks), f"its blocks are {spec.blocks}")
    expect(len(spec.axes) in (0, len(spec.shape)), f"its axes are {spec.axes}")
    expect(both.lazy_metadata == both.metadata, f"its metadata is {both.lazy_metadata}")


def refuses_no_region(codec: Codec[object], example: CodecExample) -> None:
    """Expect an error for steps other than 1, and for too many or too few slices."""
    both = _both(codec, example)
    if both is None:
        return
    good = tuple(slice(0, length) for length in both.whole.shape)
    bad: list[Region] = [(*good, slice(0, 1))]
    if good:
        stepped = slice(0, both.whole.shape[0], 2)
        bad += [good[1:], (stepped, *good[1:]), (slice(None, None, -1), *good[1:])]
    for region in bad:
        error = refused(both.lazy.read(region), f"reading {region}")
        expect(bool(error.message and error.advice), f"{region} was refused without a word")


def keeps_to_the_limit_in_a_region(codec: Codec[object], example: CodecExample) -> None:
    """Expect `TooLarge` where a region takes one byte more than allowed."""
    encoded = codec.encode(example.item(codec), example.how(codec))
    if codec.open is None or not taken(encoded, example):
        return
    content = bytes_of_item(encoded.unwrap())
    known = codec.open(readable_of(content), Limits())
    if not is_successful(known):
        return
    spec = known.unwrap().payload.spec
    allowed = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize - 1
    opened = codec.open(readable_of(content), Limits(max(allowed, 0)))
    if allowed >= 0 and is_successful(opened):
        region = tuple(slice(0, length) for length in spec.shape)
        what = f"a region of a byte more than the {allowed} that are allowed"
        refused(opened.unwrap().payload.read(region), what, TooLarge)


def opens_without_reading_all(codec: Codec[object], example: CodecExample) -> None:
    """Expect that opening a large file reads less than half of it."""
    encoded = codec.encode(example.item(codec), None)
    if codec.open is None or not taken(encoded, example):
        return
    source = readable_of(bytes_of_item(encoded.unwrap()))
    total = 0

    def read_into(offset: int, buffer: memoryview, /) -> int:
        nonlocal total
        count = source.read_into(offset, buffer)
        total += count
        return count

    opened = codec.open(Readable(source.size, read_into, lambda: None), Limits())
    if is_successful(opened):
        expect(total < source.size / 2, f"opening read {total} of {source.size} bytes")

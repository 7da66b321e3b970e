"""Notes, labels, counts and XML that lie: they are not believed, and take no memory."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from bytes_source import joined, source_of
from test_format_tiff import STACK, decoded, imwrite
from test_format_tiff_hostile import (
    DIRECTORY,
    SIZES,
    TIGHT,
    described,
    directory,
    measured,
    ome,
    page,
    refusal,
    tiff,
)
from test_format_tiff_regions import PARTED

from polystore.configs import TiffOptions
from polystore.core.errors import Corrupt, TooLarge
from polystore.core.item import Item, Metadata
from polystore.core.outcome import fold, is_successful
from polystore.core.records import Limits
from polystore.formats.tiff import OME_TIFF_CODEC, TIFF_CODEC

DEEP = "[" * 100_000

NOTES = [
    "",
    "null",
    "7",
    "[]",
    '"text"',
    DEEP,
    '{"axes": "zyx", "scale": 3, "unit": null, "channel_names": {}, "attributes": []}',
    '{"axes": [1, 2, 3], "scale": ["a", "b", "c"], "unit": [[], [], []], "channel_names": [0]}',
    '{"axes": ["z"], "scale": [1.0], "unit": ["m"]}',
    '{"axes": ["z", "y", "x"], "scale": [NaN, Infinity, 1e999]}',
    '{"scale": [1, 2, 3, 4, 5, 6, 7, 8, 9]}',
    '{"scale": [true, false, true]}',
    '{"shape": [5, 17, 20]}',
    '{"shape": [17, 5, 19]}',
    '{"shape": [-1, -5, 17, 19]}',
    '{"shape": [5.0, 17, 19]}',
    '{"shape": [true, 5, 17, 19]}',
    '{"shape": []}',
    json.dumps({"shape": [1] * 10**5 + [5, 17, 19]}),
    '{"shape": [' + "9" * 5000 + "]}",
    '{"attributes": ' + '{"a": ' * 3000 + "1" + "}" * 3000 + "}",
]


def in_plain(note: str) -> bytes:
    return described(f'{{"shape": [5, 17, 19], "polystore": {note or "0"}}}')


def in_imagej(note: str) -> bytes:
    return described(f"ImageJ=1.53t\nimages=5\nslices=5\npolystore={note}\n")


def in_ome(note: str) -> bytes:
    text = note.replace("&", "&amp;").replace("<", "&lt;")
    ours = f'<CommentAnnotation ID="A:0" Namespace="polystore"><Value>{text}</Value>'
    after = f"<StructuredAnnotations>{ours}</CommentAnnotation></StructuredAnnotations>"
    return ome(SIZES, after=after)


@pytest.mark.parametrize("put", [in_plain, in_imagej, in_ome])
@pytest.mark.parametrize("note", NOTES, ids=lambda note: str(note)[:40])
def test_a_note_that_makes_no_sense_is_none(put: Any, note: str) -> None:  # noqa: ANN401
    content = put(note)
    with measured() as peak:
        outcome = TIFF_CODEC.decode(source_of(content), Limits())
    assert peak[0] < 16 * 2**20
    if not is_successful(outcome):  # tifffile itself reads the description of a plain one
        assert put is in_plain
        assert isinstance(outcome.failure(), Corrupt)
        return
    got = outcome.unwrap()
    assert np.array_equal(got.payload, STACK)
    assert got.metadata.axes in ((), ("z", "y", "x"))
    assert got.metadata.scale == ()
    assert got.metadata.unit == ()
    assert got.metadata.channel_names == ()


@pytest.mark.parametrize(
    ("claims", "read"),
    [
        ("images=1000000000", True),  # it counts pages that ImageJ would not find
        ("images=5\nslices=1000000000", False),
        ("images=5\nframes=1000000000\nslices=1000000000\nchannels=1000000000", False),
        ("images=5\nframes=1e300\nslices=inf", False),
        ("images=nan\nslices=nan", False),
        ("images=-5\nslices=-5", True),
        ("images=5\nslices=" + "9" * 5000, True),
        ("images=5\nslices=5\nspacing=" + "9" * 5000 + "\nunit=um\nfinterval=-inf", True),
        ("images=5\nslices=5\nunit=\\u00\nspacing=\\\\", True),
    ],
)
def test_counts_of_imagej_are_no_memory(claims: str, read: bool) -> None:
    content = described(f"ImageJ=1.53t\n{claims}\n")
    with measured() as peak:
        outcome = TIFF_CODEC.decode(source_of(content), Limits())
    assert peak[0] < 2**21
    if is_successful(outcome):
        assert outcome.unwrap().payload.size == STACK.size
        assert outcome.unwrap().metadata.scale in ((), (1.0, 1.0, 1.0))
    else:
        assert not read
        assert isinstance(outcome.failure(), Corrupt)


def labelled(counts: Sequence[int], content: bytes) -> bytes:
    return imwrite(
        STACK,
        metadata=None,
        photometric="minisblack",
        description="ImageJ=1.53t\nimages=5\nchannels=5\nhyperstack=true\n",
        extratags=[
            (50838, 4, len(counts), tuple(counts), True),
            (50839, 1, len(content), content, True),
        ],
    )


def header(*kinds: tuple[bytes, int]) -> bytes:
    return b"JIJI" + b"".join(kind + struct.pack("<I", count) for kind, count in kinds)


NAMES = "abcde".encode("utf-16-le")


@pytest.mark.parametrize(
    ("counts", "content", "names"),
    [
        ((12, 2, 2, 2, 2, 2), header((b"lbal", 5)) + NAMES, tuple("abcde")),
        ((12, 2**31, 2, 2, 2, 2), header((b"lbal", 5)) + NAMES, ("abcde", *[""] * 4)),
        ((12, *[2**32 - 1] * 5), header((b"lbal", 5)) + NAMES, ("abcde", *[""] * 4)),
        ((12, 2, 2), header((b"lbal", 2**32 - 1)) + NAMES, ()),
        ((2**32 - 1, 2), header((b"lbal", 5)) + NAMES, ()),
        ((0, 0), b"", ()),
        ((12, 2, 2, 2, 2, 1), header((b"lbal", 5)) + NAMES[:-1], ()),
        ((12, 2, 2, 2, 2, 2), header((b"lbal", 5)) + b"\0\xd8" * 5, ()),
        ((12, *[0] * 5), header((b"lbal", 5)), ()),
        ((804, *[0] * 100), header(*[(b"atad", 2**20)] * 100), ()),
        ((12, 10), header((b"stul", 1)) + bytes(10), ()),
    ],
)
def test_labels_that_lie_are_none(
    counts: Sequence[int], content: bytes, names: tuple[str, ...]
) -> None:
    file = labelled(counts, content or b"\0")
    decoded(file)
    with measured() as peak:
        got = decoded(file)
    assert peak[0] < 2**20
    assert np.array_equal(got.payload, STACK)
    assert got.metadata.channel_names == names


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        # A sub-page that is its own page, and one that is the first page of the chain.
        (tiff(directory([*page(2, 2), (330, 4, 1, 8)])), None),
        (tiff(directory(page(2, 2), 122), directory([*page(2, 2), (330, 4, 1, 8)])), None),
        (tiff(directory([*page(2, 2), (330, 4, 1, 900)])), "0 tags"),
        (tiff(directory([*page(2, 2), (330, 4, 2**30, 600)])), "beyond its end"),
        (tiff(directory(page(10, 20, count=199)), size=800), "bytes"),
        (tiff(directory(page(10, 20, count=200)), size=600), "missing"),
        (tiff(directory(page(10, 20, 9, 200)), size=800), "compression"),
        (tiff(directory(page(10, 20, 65000, 200)), size=800), "compression"),
        (ome(SIZES, "<Channel Name='a'/>" * 4000 + "<TiffData/>"), None),
        (ome(SIZES, "<Channel SamplesPerPixel='0'/><TiffData/>"), ""),
        (ome(SIZES, "<Channel SamplesPerPixel='99999999999'/><TiffData/>"), ""),
        (ome(SIZES + ' PhysicalSizeX="1e999" PhysicalSizeXUnit="\x01"'), "entities"),
        (ome(SIZES.replace('"XYZCT"', '""')), ""),
        (ome("<" * 1000), "entities"),
        (ome(SIZES, "<a>" * 50_000), "entities"),
        (ome(SIZES, "<a>" * 20_000 + "</a>" * 20_000 + "<TiffData/>"), None),
    ],
)
def test_more_lies_are_told_or_harmless(content: bytes, reason: str | None) -> None:
    assert DIRECTORY == 114
    TIFF_CODEC.decode(source_of(content), Limits())
    with measured() as peak:
        outcome = TIFF_CODEC.decode(source_of(content), Limits())
    assert peak[0] < 24 * 2**20
    if reason is None:
        assert outcome.unwrap().metadata.channel_names == ()
    elif not is_successful(outcome):
        assert isinstance(outcome.failure(), Corrupt)
        assert reason in outcome.failure().message


def test_missing_samples_take_no_memory() -> None:
    cut = imwrite(np.zeros((4096, 4096), np.uint8))[:-100]
    assert "100 bytes are missing" in refusal(cut)  # it measures, too


KNOWN = Metadata(
    axes=("t", "c", "y", "x"),
    scale=(0.1, 1.0, 0.5, 1 / 3),
    unit=("second", "", "micrometer", "parrot"),
    channel_names=("a", "b"),
    attributes={"well": "A01"},
)
SMALL = np.arange(3 * 1 * 2 * 7 * 9, dtype=np.uint16).reshape(3, 2, 7, 9)

OURS = {
    "plain": joined(TIFF_CODEC.encode(Item("x", SMALL, KNOWN), TiffOptions(kind="plain")).unwrap()),
    "imagej": joined(
        TIFF_CODEC.encode(Item("x", SMALL, KNOWN), TiffOptions(kind="imagej")).unwrap()
    ),
    "ome": joined(OME_TIFF_CODEC.encode(Item("x", SMALL, KNOWN), TiffOptions("deflate")).unwrap()),
    "tiles": PARTED["tiles"],
    "planar": PARTED["planar"],
}


@pytest.mark.parametrize("name", OURS)
def test_changed_bytes_never_raise_or_take_memory(name: str) -> None:
    """Changed anywhere, and most often among the words; read whole, and by a region."""
    assert TIFF_CODEC.open is not None
    chance = random.Random(name)  # noqa: S311 - the same bytes each time
    whole = OURS[name]
    decoded(whole)
    with measured() as peak:
        for _ in range(60):
            changed = bytearray(whole)
            for _ in range(chance.choice((1, 1, 3, 20))):
                at = chance.randrange(
                    min(len(whole), 1500) if chance.random() < 0.8 else len(whole)
                )
                value = chance.choice((0, 255, 34, 57, 123, chance.randrange(256)))
                changed[at] = value
            source = source_of(bytes(changed))
            outcome = TIFF_CODEC.decode(source, TIGHT)
            assert fold(outcome, lambda _: True, lambda it: isinstance(it, Corrupt | TooLarge))
            lazily = TIFF_CODEC.open(source, TIGHT)
            if not is_successful(lazily):
                assert isinstance(lazily.failure(), Corrupt | TooLarge)
                continue
            array = lazily.unwrap().payload
            part = array.read(tuple(slice(0, max(n // 2, 1)) for n in array.spec.shape))
            assert fold(part, lambda _: True, lambda it: isinstance(it, Corrupt | TooLarge))
            if is_successful(outcome):
                expected = outcome.unwrap().payload[
                    tuple(slice(0, max(n // 2, 1)) for n in array.spec.shape)
                ]
                assert part.unwrap().tobytes() == expected.tobytes()
    assert peak[0] < 4 * 2**20

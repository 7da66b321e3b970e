"""The laws of formats that speak of bytes: damaged, foreign, cut, too many, or not to be had."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from polystore.core.errors import Corrupt, Lossy, TooLarge, UnsupportedOperation, UnsupportedPayload
from polystore.core.outcome import Outcome, is_successful
from polystore.core.payload import LazyArray
from polystore.core.records import Codec, Decoded, Limits, Readable, readable_of
from polystore.testing.codecs.damage import DamagedFile, files_of
from polystore.testing.codecs.examples import CodecExample, bytes_of_item
from polystore.testing.codecs.trips import arrays_in, on_host, plain, taken
from polystore.testing.codecs.watch import Watched, watched_decode
from polystore.testing.expect import expect, refused
from polystore.testing.sameness import difference

__all__ = [
    "allocates_little",
    "ends_or_refuses",
    "foreign_ends_or_refuses",
    "keeps_to_the_limit",
    "leaves_the_source_open",
    "meets_a_short_file",
    "opens_or_refuses",
    "passes_on_an_oserror",
    "says_nothing",
]

_REFUSALS = (Corrupt, Lossy, TooLarge, UnsupportedPayload)
_FEW_BYTES = 2**16
"""What the decoders of hostile bytes may give."""

_BESIDE = 2**24
"""Bytes. What a decoder may take beside, for a library's tables and copies of a small file."""


def _read_or_refused(outcome: Outcome[object], what: str) -> bool:
    if is_successful(outcome):
        return True
    error = refused(outcome, what, *_REFUSALS)
    expect(bool(error.message and error.advice), f"{what} was refused without a word: {error!r}")
    return False


@lru_cache(maxsize=4)
def _files(codec: Codec[object]) -> tuple[bytes, ...]:
    """Give its files, once their libraries are imported: that allocates, and may say something."""
    for content in files_of(codec):
        codec.decode(readable_of(content), Limits())
    return files_of(codec)


def _content(codec: Codec[object], example: DamagedFile | bytes) -> bytes:
    _files(codec)
    return example if isinstance(example, bytes) else example.content(codec)


def _watched(codec: Codec[object], content: bytes) -> Watched:
    return watched_decode(codec, content, Limits(_FEW_BYTES))


def ends_or_refuses(codec: Codec[object], example: DamagedFile) -> None:
    """Expect a payload within the limits, or an error that says what is wrong."""
    foreign_ends_or_refuses(codec, _content(codec, example))


def foreign_ends_or_refuses(codec: Codec[object], example: bytes) -> None:
    """Expect a payload within the limits, or an error that says what is wrong."""
    outcome = _watched(codec, example).outcome
    if _read_or_refused(outcome, f"decoding {len(example)} bytes"):
        held = sum(array.nbytes for array in arrays_in(on_host(outcome.unwrap().payload)))
        expect(held <= _FEW_BYTES, f"{held} bytes were decoded, and the limit is {_FEW_BYTES}")


def allocates_little(codec: Codec[object], example: DamagedFile | bytes) -> None:
    """Expect that no more is allocated than the limit, and what any library takes."""
    content = _content(codec, example)
    most = _FEW_BYTES + _BESIDE + 16 * len(content)
    peak = _watched(codec, content).peak
    expect(peak <= most, f"{len(content)} bytes took {peak} bytes of memory; {most} would be much")


def says_nothing(codec: Codec[object], example: DamagedFile | bytes) -> None:
    """Expect that all that there is to say is in the outcome."""
    said = _watched(codec, _content(codec, example)).said
    expect(not said, f"decode said: {said[:500]!r}")


def keeps_to_the_limit(codec: Codec[object], example: CodecExample) -> None:
    """Expect `TooLarge` where the arrays alone take one byte more than allowed, and far more."""
    encoded = codec.encode(example.item(codec), example.how(codec))
    if not taken(encoded, example):
        return
    content = bytes_of_item(encoded.unwrap())
    whole = codec.decode(readable_of(content), Limits())
    if not is_successful(whole):
        return
    nbytes = sum(array.nbytes for array in arrays_in(on_host(whole.unwrap().payload)))
    for allowed in {0, nbytes // 2, nbytes - 1} if nbytes else ():
        outcome = codec.decode(readable_of(content), Limits(allowed))
        refused(outcome, f"{nbytes} bytes where {allowed} are allowed", TooLarge)


def passes_on_an_oserror(codec: Codec[object], example: tuple[int, int]) -> None:
    """Expect the very error that a read raised: the store knows what it means."""
    files = _files(codec)
    content = files[example[0] % len(files)] if files else b""
    failure = OSError(errno.EIO, "a read failed")
    left, source = example[1], readable_of(content)

    def read_into(offset: int, buffer: memoryview, /) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise failure
        return source.read_into(offset, buffer)

    try:
        outcome = codec.decode(Readable(len(content), read_into, lambda: None), Limits())
    except OSError as seen:
        expect(seen is failure, f"the source raised {failure!r}, and decode {seen!r}")
    else:
        expect(left >= 0, f"a read failed, and decode gave {outcome!r}")


def meets_a_short_file(codec: Codec[object], example: tuple[DamagedFile, int]) -> None:
    """Expect no bytes for those that are missing: reads give fewer than the size says."""
    content = _content(codec, example[0])
    whole = readable_of(content)
    # So that memory that is handed out again, and read into by nobody, holds other content.
    codec.decode(readable_of(example[0].twin(codec)), Limits())
    short = readable_of(content[: example[1] % (len(content) + 1)])
    outcome = codec.decode(Readable(len(content), short.read_into, lambda: None), Limits())
    if _read_or_refused(outcome, "decoding a file that ended early"):
        there = codec.decode(whole, Limits())
        expect(is_successful(there), "a file is decoded only where it ends early")
        was, now = (plain(on_host(it.unwrap().payload)) for it in (there, outcome))
        found = difference(was, now)
        expect(found is None, f"a file that ended early was decoded: {found}")


def leaves_the_source_open(codec: Codec[object], example: CodecExample) -> None:
    """Expect that decode closes nothing: who opened the source closes it."""
    encoded = codec.encode(example.item(codec), example.how(codec))
    if taken(encoded, example):
        closed: list[bool] = []
        source = readable_of(bytes_of_item(encoded.unwrap()))
        kept = Readable(source.size, source.read_into, lambda: closed.append(True))
        codec.decode(kept, Limits())
        expect(not closed, "decode closed the source")


def opens_or_refuses(codec: Codec[object], example: DamagedFile) -> None:
    """Expect a lazy array that can be read or says why not, or an error."""
    content = _content(codec, example)
    opened = _opener(codec)(readable_of(content), Limits(_FEW_BYTES))
    if not is_successful(opened) and isinstance(opened.failure(), UnsupportedOperation):
        return  # this kind of array is not read in parts
    if _read_or_refused(opened, "opening a damaged file"):
        lazy = opened.unwrap().payload
        region = tuple(slice(0, min(length, 4)) for length in lazy.spec.shape)
        _read_or_refused(lazy.read(region), "reading from a damaged file")


def _opener(codec: Codec[object]) -> Callable[[Readable, Limits], Outcome[Decoded[LazyArray]]]:
    return cast("Callable[[Readable, Limits], Outcome[Decoded[LazyArray]]]", codec.open)

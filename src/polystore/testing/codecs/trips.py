"""The laws of formats that speak of items: what goes in comes out, with its metadata."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
from attrs import evolve

from polystore.core.errors import Lossy, TooLarge, UnsupportedOperation, UnsupportedPayload
from polystore.core.outcome import Outcome, is_successful
from polystore.core.payload import Payload, is_host_array
from polystore.core.records import Codec, Decoded, Encoded, Limits, readable_of
from polystore.core.registry import Registry
from polystore.core.table import Table
from polystore.discover import default_registry
from polystore.frameworks.handover import payload_on_host
from polystore.testing.arrays import LAYOUTS, ArrayExample, EveryDtype
from polystore.testing.codecs.damage import files_of
from polystore.testing.codecs.examples import SIMPLE, CodecExample, bytes_of_item
from polystore.testing.codecs.options import options_of
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference

if TYPE_CHECKING:
    from polystore.core.payload import HostArray

__all__ = [
    "arrays_in",
    "comes_back",
    "decoded_from",
    "encodes_alike",
    "every_dtype_comes_back",
    "every_layout_comes_back",
    "holds_something",
    "is_found_by_suffix",
    "keeps_or_names_metadata",
    "names_its_suffixes",
    "on_host",
    "options_are_values",
    "owns_what_it_decodes",
    "plain",
    "taken",
    "tells_its_size",
]

_REFUSALS = (Lossy, TooLarge, UnsupportedOperation, UnsupportedPayload)


def taken(outcome: Outcome[Encoded], what: object) -> bool:
    """Whether it was encoded; else expect an error of the kinds that say no, and say what to do."""
    if is_successful(outcome):
        return True
    error = refused(outcome, f"encoding {what}", *_REFUSALS)
    expect(bool(error.message and error.advice), f"{what} was refused without a word: {error!r}")
    return False


def on_host(payload: object) -> Payload:
    """Give the payload with its arrays on the host, whatever framework they are of."""
    return done(payload_on_host(payload, default_registry().find_owner), "bringing it to the host")


def plain(payload: object) -> object:
    """Give the payload with its arrays plain, and in this machine's byte order."""
    if isinstance(payload, Table):
        return Table({name: _native(column) for name, column in payload.columns.items()})
    if isinstance(payload, Mapping):
        values = cast("Mapping[object, object]", payload)
        return {name: plain(value) for name, value in values.items()}
    return _native(payload) if is_host_array(payload) else payload


def _native(array: HostArray) -> HostArray:
    seen = np.asarray(array)
    return seen if seen.dtype.hasobject else seen.astype(seen.dtype.newbyteorder("="))


def arrays_in(payload: object) -> list[HostArray]:
    """Give the arrays of a payload on the host: itself, those of a mapping, a table's columns."""
    held = payload.columns if isinstance(payload, Table) else payload
    if isinstance(held, Mapping):
        return [it for it in cast("Mapping[object, object]", held).values() if is_host_array(it)]
    return [held] if is_host_array(held) else []


def decoded_from(codec: Codec[object], encoded: Encoded) -> Decoded[object] | None:
    """Give what was encoded, decoded; `None` where this process's settings refuse it as `Lossy`.

    That is JAX without its x64 mode: it holds no 64 bits, whatever the file does.
    """
    decoded = codec.decode(readable_of(bytes_of_item(encoded)), Limits())
    if not is_successful(decoded) and isinstance(decoded.failure(), Lossy):
        return None
    return done(decoded, "decoding what encode gave")


def comes_back(codec: Codec[object], example: CodecExample) -> None:
    """Expect the same payload, or a refusal; values may change where options say that they may."""
    item, how = example.item(codec), example.how(codec)
    encoded = codec.encode(item, how)
    decoded = decoded_from(codec, encoded.unwrap()) if taken(encoded, example) else None
    if decoded is None:
        return
    was, now = plain(item.payload), plain(on_host(decoded.payload))
    if how is not None and _is_lossy(codec, example):
        was, now = list(map(_outline, arrays_in(was))), list(map(_outline, arrays_in(now)))
    found = difference(was, now)
    expect(found is None, f"{example.content!r} came back changed: {found}")
    if isinstance(was, Table) and isinstance(now, Table):
        expect(list(was.columns) == list(now.columns), f"its columns are {list(now.columns)}")


def every_dtype_comes_back(codec: Codec[object], example: EveryDtype) -> None:
    """Expect an array of each dtype the same, or a refusal."""
    for each in example.examples():
        comes_back(codec, CodecExample(each))


def every_layout_comes_back(codec: Codec[object], example: int) -> None:
    """Expect the simple arrays the same in each memory layout, or a refusal."""
    for content in (each.content for each in SIMPLE):
        if isinstance(content, ArrayExample):
            for layout in LAYOUTS:
                laid_out = evolve(content, seed=example, layout=layout)
                comes_back(codec, CodecExample(laid_out))


def _is_lossy(codec: Codec[object], example: CodecExample) -> bool:
    """Whether the format itself says, where no option allows it, that values would change."""
    asked = codec.encode(example.item(codec), None)
    return not is_successful(asked) and isinstance(asked.failure(), Lossy)


def _outline(array: HostArray) -> list[object]:
    return [array.dtype.name, *array.shape]


def holds_something(codec: Codec[object], _example: None) -> None:
    """Expect that one of the simple items is encoded."""
    seen = "encode refused every simple item, with each of the options: no law tries anything"
    expect(bool(files_of(codec)), seen)


def encodes_alike(codec: Codec[object], example: CodecExample) -> None:
    """Expect the same bytes of the same item twice, and an item that is as it was."""
    item, how = example.item(codec), example.how(codec)
    first = codec.encode(item, how)
    if not taken(first, example):
        return
    one = bytes_of_item(first.unwrap())
    two = bytes_of_item(done(codec.encode(item, how), "encoding it again"))
    expect(one == two, "the same item gave other bytes the second time")
    fresh = example.item(codec)
    found = difference(plain(fresh.payload), plain(item.payload))
    expect(found is None, f"encode changed the payload: {found}")
    expect(fresh.metadata == item.metadata, "encode changed the metadata")
    expect(fresh.key == item.key, "encode changed the key")


def tells_its_size(codec: Codec[object], example: CodecExample) -> None:
    """Expect `nbytes` to be the bytes of all buffers."""
    encoded = codec.encode(example.item(codec), example.how(codec))
    if taken(encoded, example):
        total = len(bytes_of_item(encoded.unwrap()))
        expect(encoded.unwrap().nbytes == total, f"{encoded.unwrap().nbytes} for {total} bytes")


def owns_what_it_decodes(codec: Codec[object], example: CodecExample) -> None:
    """Expect that host arrays can be written to, and that no one else sees it."""
    item = example.item(codec)
    encoded = codec.encode(item, example.how(codec))
    if not taken(encoded, example):
        return
    content = bytes_of_item(encoded.unwrap())
    first, second = (codec.decode(readable_of(content), Limits()) for _ in range(2))
    if not (is_successful(first) and is_successful(second)):
        return
    found = difference(*(plain(on_host(it.unwrap().payload)) for it in (first, second)))
    expect(found is None, f"the second decode of the same bytes gave another payload: {found}")
    one, two = arrays_in(first.unwrap().payload), arrays_in(second.unwrap().payload)
    others = [*two, *arrays_in(item.payload)]
    for array in one:
        expect(array.flags.writeable, "a decoded array cannot be written to")
        shared = any(np.may_share_memory(array, other) for other in others)
        expect(not shared, "a decoded array shares memory with another decode, or the item")
    payload = first.unwrap().payload
    if isinstance(payload, (dict, list)):
        expect(payload is not second.unwrap().payload, "two decodes gave one object")


def keeps_or_names_metadata(codec: Codec[object], example: CodecExample) -> None:
    """Expect each field back, or its name in `dropped`; and no other name there."""
    item = example.item(codec)
    known = item.metadata
    encoded = codec.encode(item, example.how(codec))
    decoded = decoded_from(codec, encoded.unwrap()) if taken(encoded, example) else None
    if decoded is None:
        return
    dropped = encoded.unwrap().dropped
    for name in known.present():
        was, now = cast("object", getattr(known, name)), getattr(decoded.metadata, name)
        found = difference(was, now)
        expect(found is None or name in dropped, f"{name} was lost without a word: {found}")
    odd = set(dropped) - set(known.present())
    expect(not odd, f"dropped names what was not there: {sorted(odd)}")


def names_its_suffixes(codec: Codec[object], _example: None) -> None:
    """Expect at least one suffix, each as keys end with it."""
    suffixes = codec.format.suffixes
    expect(bool(suffixes), "the format has no suffix")
    for suffix in suffixes:
        expect(suffix == suffix.lower(), f"{suffix!r} is not in lower case")
        expect(suffix.startswith(".") and len(suffix) > 1, f"{suffix!r} is no dot and a word")


def is_found_by_suffix(codec: Codec[object], _example: None) -> None:
    """Expect the codec under each of its suffixes, in any case, and under its format."""
    registry = done(Registry.of(codec), "a registry of it")
    for suffix in codec.format.suffixes:
        for key in (f"a{suffix}", f"b/a.tif{suffix}", f"A{suffix.upper()}"):
            found = done(registry.find_codec_for(key), f"finding the codec for {key!r}")
            expect(found is codec, f"for {key!r} another codec is found")
    expect(done(registry.find_codec(codec.format), "finding it") is codec, "it is another's format")


def options_are_values(codec: Codec[object], _example: None) -> None:
    """Expect options that are frozen values: what a spec and a process pool need."""
    for options in options_of(codec)[1:]:
        copy: object = pickle.loads(pickle.dumps(options))  # noqa: S301 - made in this line
        expect(copy == options, f"{options!r} is not its pickled copy")
        expect(hash(copy) == hash(options), f"{options!r} has another hash than its copy")
        example = SIMPLE[0]
        taken(codec.encode(example.item(codec), options), f"{example} with {options!r}")

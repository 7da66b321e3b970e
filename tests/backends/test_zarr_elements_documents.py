"""What the documents of an array say: as zarr-python understands them, and never an exception."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from importlib import import_module
from typing import Any, Literal, cast

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr_files import memory_files

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.meta import ArrayMeta
from polystore.backends.zarr.elements.parsing import EXTENDED, dtype_of, fill_of
from polystore.backends.zarr.elements.reading import read_elements
from polystore.core.errors import Corrupt, StorageError, TooLarge, UnsupportedPayload
from polystore.core.outcome import Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, Json
from polystore.core.region import whole

ZARR_DTYPE = import_module("zarr.dtype")

V3: dict[str, Json] = {
    "zarr_format": 3,
    "node_type": "array",
    "shape": [4, 6],
    "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 6]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "fill_value": 7,
    "codecs": [
        {
            "name": "sharding_indexed",
            "configuration": {
                "chunk_shape": [2, 3],
                "codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {
                        "name": "blosc",
                        "configuration": {
                            "cname": "zstd",
                            "clevel": 1,
                            "shuffle": "bitshuffle",
                            "typesize": 2,
                            "blocksize": 0,
                        },
                    },
                    {"name": "crc32c"},
                ],
                "index_codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "crc32c"},
                ],
                "index_location": "end",
            },
        }
    ],
    "attributes": {"polystore": {"version": 1, "dense": False}},
    "dimension_names": ["y", "x"],
}

V2: dict[str, Json] = {
    "zarr_format": 2,
    "shape": [4, 6],
    "chunks": [2, 3],
    "dtype": "<u2",
    "compressor": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
    "fill_value": 0,
    "order": "C",
    "filters": None,
    "dimension_separator": ".",
}


def meta_in(content: Mapping[str, bytes]) -> Outcome[ArrayMeta | None]:
    """Give what the documents of a node say; `None` where there are none."""
    documents = documents_in(memory_files(dict(content)))
    return and_then(documents, lambda it: Success(None) if it is None else array_meta(it))


def of(document: Json, name: str = "zarr.json") -> Outcome[ArrayMeta | None]:
    return meta_in({name: json.dumps(document).encode()})


def known(document: Json, name: str = "zarr.json") -> ArrayMeta:
    meta = of(document, name).unwrap()
    assert meta is not None
    return meta


def test_both_versions_say_how_an_array_is_cut() -> None:
    new, old = known(V3), known(V2, ".zarray")
    assert (new.grid.file, new.grid.chunk, new.axes) == ((4, 6), (2, 3), ("y", "x"))
    assert (old.grid.file, old.grid.chunk, old.axes) == ((2, 3), (2, 3), ())
    assert [new.file_name((0, 1)), old.file_name((0, 1))] == ["c/0/1", "0.1"]
    assert new.fill == 7
    assert new.chain is not None
    assert old.chain is not None
    assert new.index is not None
    assert not new.dense


def test_names_of_files() -> None:
    for encoding, separator, name in (
        ("default", "/", "c/2/3"),
        ("default", ".", "c.2.3"),
        ("v2", "/", "2/3"),
        ("v2", ".", "2.3"),
    ):
        options: Json = {"name": encoding, "configuration": {"separator": separator}}
        assert known({**V3, "chunk_key_encoding": options}).file_name((2, 3)) == name
    for encoding, names in (("default", ("c", "c/1/2")), ("v2", ("0", "1.2"))):
        name_of = known({**V3, "chunk_key_encoding": {"name": encoding}}).file_name
        assert (name_of(()), name_of((1, 2))) == names


def test_v3_counts_where_there_are_documents_of_both_versions() -> None:
    content: dict[str, Json] = {
        "zarr.json": V3,
        ".zarray": {**V2, "shape": [1, 1]},
        ".zattrs": {"a": 1},
    }
    meta = meta_in({name: json.dumps(it).encode() for name, it in content.items()}).unwrap()
    assert meta is not None
    assert meta.grid.shape == (4, 6)
    assert "a" not in meta.documents.attributes


def test_attributes_of_v2_are_in_a_file_of_their_own_which_may_be_missing() -> None:
    content = {"x/.zarray": json.dumps(V2).encode(), "x/.zattrs": b'{"a": NaN}'}
    documents = documents_in(memory_files(content), "x/").unwrap()
    assert documents is not None
    assert str(documents.attributes) == "{'a': nan}"
    del content["x/.zattrs"]
    documents = documents_in(memory_files(content), "x/").unwrap()
    assert documents is not None
    assert documents.attributes == {}
    assert documents_in(memory_files(content)).unwrap() is None


def test_our_own_arrays_keep_their_byte_order_and_those_of_others_get_the_machines() -> None:
    big: Json = [{"name": "bytes", "configuration": {"endian": "big"}}]
    for dense, dtype in ((True, ">u2"), (False, "<u2")):
        notes: Json = {"polystore": {"version": 1, "dense": dense}}
        meta = known({**V3, "codecs": big, "attributes": notes})
        assert (meta.dense, meta.dtype.str, meta.fill.dtype.str) == (dense, dtype, dtype)
        content = memory_files({"c/0/0": np.arange(24, dtype=">u2").tobytes()})
        seen = read_elements(content, meta, whole((4, 6)), 10**6).outcome.unwrap()
        assert np.array_equal(seen, np.arange(24).reshape(4, 6))


V3_FILLS = cast(
    "tuple[Json, ...]",
    (
        *(True, False, 0, 1, -1, 255, 256, -128, 2**31, 2**63, -(2**63), 2**64 - 1, 2**64, 10**400),
        *(0.0, 1.5, -0.0, 1e300, 65504.0, 65520.0, "NaN", "Infinity", "-Infinity", "nan", "1", ""),
        *("0x7fc00000", "0x7e00", "0x3ff8000000000000", "0x", "0xzz", None, [], {}, "AAAA", "A="),
        *([0, 0], [1.5, "NaN"], ["-Infinity", 2], [1], [1, 2, 3], ["0x7fc00000", 0], [[]]),
    ),
)

V3_TYPES = "bool int8 uint8 int16 uint16 int32 int64 uint64 float16 float32 float64".split()


@pytest.mark.parametrize("name", [*V3_TYPES, "complex64", "complex128"])
@pytest.mark.parametrize("version", [2, 3])
def test_fill_values_are_those_of_zarr_python(name: str, version: Literal[2, 3]) -> None:
    spec = name if version == 3 else np.dtype(name).str
    dtype = dtype_of(spec, version)
    assert dtype == np.dtype(name)
    words = spec if version == 3 else {"name": spec, "object_codec_id": None}
    theirs = ZARR_DTYPE.parse_dtype(words, zarr_format=version)
    for value in V3_FILLS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = outcome(partial(told, theirs, value, version, dtype))
        found = outcome(partial(fill_of, dtype, spec, value, version))
        if value is None and version == 2:
            expected = np.zeros((), dtype)
        if expected is not None:  # it does not take all that the specification has
            assert found is not None, value
            assert np.array_equal(found, expected, equal_nan=dtype.kind in "fc"), value


def told(theirs: Any, value: Json, version: int, dtype: np.dtype[Any]) -> HostArray:  # noqa: ANN401 - zarr-python's
    return np.array(theirs.from_json_scalar(value, zarr_format=version), dtype)


def outcome(action: Callable[[], HostArray]) -> HostArray | None:
    """Give what an action gives; `None` if it raised."""
    try:
        return action()
    except (ValueError, TypeError, OverflowError, AttributeError, LookupError):
        return None


def test_a_fill_value_in_hexadecimal_keeps_the_bits_of_its_nan() -> None:
    for name, bits in (("float16", "7e01"), ("float32", "ffc01234"), ("bfloat16", "7fc1")):
        fill = known({**V3, "data_type": name, "fill_value": f"0x{bits}"}).fill
        assert fill.tobytes()[::-1].hex() == bits


@pytest.mark.parametrize("name", sorted(EXTENDED))
def test_data_types_of_the_registry_are_those_of_ml_dtypes(name: str) -> None:
    meta = known({**V3, "data_type": name, "fill_value": 1, "codecs": [{"name": "bytes"}]})
    assert meta.dtype == np.dtype(getattr(ml_dtypes, name))
    assert meta.fill == np.array(1, meta.dtype)
    assert meta.chain is not None


def test_upper_bits_of_a_narrow_number_mean_nothing() -> None:
    meta = known({**V3, "data_type": "int4", "codecs": ["bytes"], "fill_value": 0})
    content = memory_files({"c/0/0": bytes([0x0F, 0xFF, 0x37, 0x07] * 6)})
    seen = read_elements(content, meta, whole((4, 6)), 10**6).outcome.unwrap()
    assert seen.tobytes()[:4].hex() == "0f0f0707"  # as ml_dtypes has -1, -1, 7, 7


_UP: Json = {"name": "v2", "configuration": {"separator": "../"}}


def cut(*steps: int) -> Mapping[str, Json]:
    """Give the field that says how the array is cut into files."""
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(steps)}}}


def then(name: str, **options: Json) -> Mapping[str, Json]:
    """Give the field of codecs: the bytes, then another."""
    return {"codecs": [{"name": "bytes"}, {"name": name, "configuration": options}]}


REFUSED: dict[str, tuple[type[StorageError], Mapping[str, Json]]] = {
    "version": (UnsupportedPayload, {"zarr_format": 4}),
    "version 2": (Corrupt, {"zarr_format": 2}),
    "version as text": (Corrupt, {"zarr_format": "3"}),
    "true": (Corrupt, {"zarr_format": True}),
    "kind": (Corrupt, {"node_type": "plate"}),
    "group": (UnsupportedPayload, {"node_type": "group"}),
    "shape": (Corrupt, {"shape": [4, -6]}),
    "shape of fractions": (Corrupt, {"shape": [4, 6.0]}),
    "shape of truths": (Corrupt, {"shape": [True, 6]}),
    "no shape": (Corrupt, {"shape": 24}),
    "shape beyond numbers": (Corrupt, {"shape": [4, 10**100]}),
    "axes": (UnsupportedPayload, {"shape": [1] * 100}),
    "other axes": (Corrupt, {"shape": [1, 2, 3]}),
    "empty chunk": (Corrupt, cut(0, 6)),
    "odd shard": (Corrupt, cut(4, 5)),
    "grid": (UnsupportedPayload, {"chunk_grid": {"name": "rectilinear", "configuration": {}}}),
    "names": (Corrupt, {"dimension_names": ["y"]}),
    "data type": (UnsupportedPayload, {"data_type": "float31"}),
    "data type of no kind": (UnsupportedPayload, {"data_type": [None]}),
    "fill": (Corrupt, {"fill_value": -1}),
    "codec": (UnsupportedPayload, then("crumble")),
    "codecs": (Corrupt, {"codecs": []}),
    "level": (Corrupt, then("gzip", level=10**9)),
    "encoding": (UnsupportedPayload, {"chunk_key_encoding": "hexadecimal"}),
    "separator": (Corrupt, {"chunk_key_encoding": _UP}),
    "transformers": (UnsupportedPayload, {"storage_transformers": [{"name": "x"}]}),
    "unknown": (UnsupportedPayload, {"surprise": {}}),
    "attributes": (Corrupt, {"attributes": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_why(name: str) -> None:
    kind, changes = REFUSED[name]
    error = of({**V3, **changes}).failure()
    assert isinstance(error, kind)
    assert error.message.endswith(".")


def test_what_need_not_be_understood_is_passed_over() -> None:
    assert known({**V3, "surprise": {"must_understand": False}}).grid.shape == (4, 6)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"\xff\xfe{", b"[" * 10**6, b'{"a":' * 10**6, b"1" * 10**5],
    ids=["empty", "cut", "list", "number", "no text", "deep", "deep object", "long"],
)
def test_what_is_no_document_is_damaged(content: bytes) -> None:
    for name in ("zarr.json", ".zarray", ".zgroup"):
        assert isinstance(meta_in({name: content}).failure(), Corrupt)
    whole_one = json.dumps(V2).encode()
    assert isinstance(meta_in({".zarray": whole_one, ".zattrs": content}).failure(), Corrupt)


def test_metadata_may_claim_more_than_there_is_memory_and_time_for() -> None:
    for shape, chunk in (([2**60, 2], [1, 1]), ([2**62, 2**62], [2**62, 2**62]), ([8], [2**60])):
        claim: Mapping[str, Json] = {"shape": shape, "codecs": ["bytes"], "dimension_names": None}
        meta = known({**V3, **claim, **cut(*chunk)})
        found = read_elements(memory_files({}), meta, whole(meta.grid.shape), 2**34)
        assert isinstance(found.outcome.failure(), TooLarge)


KEYS: st.SearchStrategy[str] = st.sampled_from(("name", "configuration", "id", "level", "a"))

LEAVES: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.sampled_from((2**31, 2**63, -(10**30), 10**400)),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(
        "bytes crc32c blosc zstd gzip transpose sharding_indexed string int4 bfloat16 r16"
        " little big F C | <f4 |S0 |O / . default v2 regular zlib lz4 delta".split()
    ),
)


def grown(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    lists: st.SearchStrategy[Json] = st.lists(inner, max_size=3)
    objects: st.SearchStrategy[Json] = st.dictionaries(KEYS, inner, max_size=3)
    return st.one_of(lists, objects)


JSONS: st.SearchStrategy[Json] = st.recursive(LEAVES, grown, max_leaves=6)


def paths(value: Json, before: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Give where in a document something stands."""
    found = [before] if before else []
    if isinstance(value, dict):
        return found + [path for key, it in value.items() for path in paths(it, (*before, key))]
    if isinstance(value, list):
        items = enumerate(value)
        return found + [path for number, it in items for path in paths(it, (*before, number))]
    return found


def changed(document: Json, path: Sequence[object], value: Json, drop: bool) -> Json:
    """Give a document with something else in a place, or without it."""
    copy = cast("Any", deepcopy(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if drop:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return cast("Json", copy)


@settings(max_examples=300, deadline=2000)
@given(st.data(), st.booleans(), JSONS, st.booleans())
def test_no_document_raises(data: st.DataObject, is_v3: bool, value: Json, drop: bool) -> None:
    document = V3 if is_v3 else V2
    path = data.draw(st.sampled_from(paths(document)))
    other = changed(document, path, value, drop)
    name = "zarr.json" if is_v3 else ".zarray"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        meta = of(other, name)
        if not is_successful(meta):
            assert isinstance(meta.failure(), Corrupt | UnsupportedPayload)
            return
        found = meta.unwrap()
        if found is not None:
            seen = read_elements(memory_files({}), found, whole(found.grid.shape), 10**6)
            if not is_successful(seen.outcome):
                assert isinstance(seen.outcome.failure(), Corrupt | TooLarge)

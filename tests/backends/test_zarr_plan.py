"""The documents of new Zarr arrays, and what is refused before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr_files import memory_files
from zarr_written import OURS, counted

from polystore import (
    Blosc,
    Compressor,
    Gzip,
    HostArray,
    InvalidSpec,
    Json,
    UnsupportedPayload,
    ZarrConfig,
    Zstd,
    is_successful,
)
from polystore.backends.zarr.elements.grid import Grid
from polystore.backends.zarr.elements.plan import array_plan
from polystore.backends.zarr.elements.writing import write_elements
from polystore.core.payload import ArraySpec

SPEC = ArraySpec((4, 100, 200), "uint16", ("z", "y", "x"), (1, 100, 200))
DEFAULT = ZarrConfig(root="/data")
U2 = np.dtype("u2")


def test_the_document_is_of_version_3_with_chunks_in_shards_and_checksums() -> None:
    config = ZarrConfig(root="/data", chunks=(1, 50, 50))
    plan = array_plan(SPEC, U2, config, OURS).unwrap()
    assert list(plan.documents) == ["zarr.json"]
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    checksum = {"name": "crc32c"}
    blosc = {
        "cname": "zstd",
        "clevel": 1,
        "shuffle": "bitshuffle",
        "typesize": 2,
        "blocksize": 0,
    }
    shards = {
        "chunk_shape": [1, 50, 50],
        "codecs": [little, {"name": "blosc", "configuration": blosc}, checksum],
        "index_codecs": [little, checksum],
        "index_location": "end",
    }
    assert json.loads(plan.documents["zarr.json"]) == {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 100, 200],
        "data_type": "uint16",
        "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 100, 200]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "sharding_indexed", "configuration": shards}],
        "dimension_names": ["z", "y", "x"],
        "attributes": OURS,
    }


def test_the_documents_of_version_2_are_two_and_have_no_shards() -> None:
    plan = array_plan(SPEC, U2, ZarrConfig(root="/data", chunks=(1, 50, 50)), OURS, 2).unwrap()
    assert json.loads(plan.documents[".zarray"]) == {
        "zarr_format": 2,
        "shape": [4, 100, 200],
        "chunks": [1, 50, 50],
        "dtype": "<u2",
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
        "compressor": {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 2, "blocksize": 0},
    }
    assert json.loads(plan.documents[".zattrs"]) == OURS


@given(st.sampled_from([None, Blosc(), Zstd(), Gzip()]), st.sampled_from([(), None, (2, 100, 100)]))
def test_what_is_planned_is_what_its_documents_say(
    compressor: Compressor | None, shards: tuple[int, ...] | None
) -> None:
    config = ZarrConfig(root="/data", chunks=(1, 50, 50), shards=shards, compressor=compressor)
    meta = array_plan(SPEC, U2, config, OURS).unwrap().meta
    files: dict[tuple[int, ...] | None, tuple[int, ...]]
    files = {(): (1, 50, 50), None: (4, 100, 200), (2, 100, 100): (2, 100, 100)}
    assert meta.grid == Grid(SPEC.shape, files[shards], (1, 50, 50))
    assert (meta.dtype, meta.axes, meta.dense) == (U2, ("z", "y", "x"), True)
    assert meta.chain is not None
    assert (meta.index is None) == (shards == ())


@pytest.mark.parametrize(
    ("compressor", "words"),
    [
        (Blosc(level=10), "its level is 10, and may be 0 to 9"),
        (Blosc(level=-1), "its level is -1"),
        (Zstd(level=0), "its level is 0, and may be 1 to 22"),
        (Zstd(level=23), "its level is 23"),
        (Gzip(level=10), "its level is 10"),
        (Blosc(cname=cast("Any", "snappy")), "its cname is none of zstd, lz4"),
        (Blosc(shuffle=cast("Any", "bits")), "its shuffle is none of none, shuffle"),
    ],
)
def test_options_out_of_range_are_refused(compressor: Compressor, words: str) -> None:
    config = ZarrConfig(root="/data", compressor=compressor)
    error = array_plan(SPEC, U2, config, {}).failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == "compressor"
    assert words in error.message


def test_version_2_has_no_shards() -> None:
    error = array_plan(SPEC, U2, ZarrConfig(root="/data", shards=(2, 100, 200)), {}, 2).failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == "shards"


ALIGNED = np.dtype([("a", "i1"), ("b", "i4")], align=True)


@pytest.mark.parametrize(
    ("dtype", "zarr_format"),
    [
        ("O", 3), ("O", 2), ("g", 3), ("G", 3), ("S0", 3), ("V0", 3), ("U0", 3), ("M8", 3),
        (ALIGNED, 3), ([("a", ">i4")], 3), ([("a", "O")], 3), ("bfloat16", 2), ("int4", 2),
        (np.dtypes.StringDType(na_object=None), 3),
    ],
)  # fmt: skip
def test_what_zarr_cannot_hold_is_refused(dtype: object, zarr_format: int) -> None:
    if isinstance(dtype, str) and dtype in ("bfloat16", "int4"):
        import ml_dtypes

        dtype = getattr(ml_dtypes, dtype)
    spec = ArraySpec((3,), "", (), (3,))
    version = cast("Any", zarr_format)
    found = array_plan(spec, np.dtype(cast("str", dtype)), DEFAULT, {}, version)
    assert isinstance(found.failure(), UnsupportedPayload)
    assert "Zarr has no data type for" in found.failure().message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}])
def test_attributes_that_are_no_json_are_refused(value: object) -> None:
    error = array_plan(SPEC, U2, DEFAULT, {"a": cast("Json", value)}).failure()
    assert isinstance(error, UnsupportedPayload)


def test_axes_that_are_not_of_the_shape_have_no_names() -> None:
    spec = ArraySpec((3, 4), "uint16", ("z", "y", "x"), (3, 4))
    plan = array_plan(spec, U2, DEFAULT, {}).unwrap()
    assert b"dimension_names" not in plan.documents["zarr.json"]


PROGRAM = """
import sys
from pathlib import Path
import ml_dtypes
import numpy as np
import tensorstore
for folder in sorted(Path(sys.argv[1]).iterdir()):
    driver = "zarr" if folder.name.startswith("2") else "zarr3"
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(folder)}}
    array = tensorstore.open(spec, read=True, open=True).result().read().result()
    expected = (folder / "expected").read_bytes()
    name = folder.name.split("-")[1]
    assert array.dtype.name == name, (folder.name, array.dtype)
    assert np.ascontiguousarray(array).tobytes() == expected, folder.name
    print(folder.name)
"""


def unfold(folder: Path, array: HostArray, config: ZarrConfig, zarr_format: int) -> None:
    """Write an array below a folder, and its elements in the machine's byte order beside it."""
    spec = ArraySpec(array.shape, array.dtype.name, (), array.shape)
    plan = array_plan(spec, array.dtype, config, OURS, cast("Any", zarr_format)).unwrap()
    content: dict[str, bytes] = {}
    assert is_successful(write_elements(memory_files(content), plan.meta, array))
    native = array.astype(array.dtype.newbyteorder("="))
    for name, each in {**content, **plan.documents, "expected": native.tobytes()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each)


@pytest.mark.skipif(find_spec("tensorstore") is None, reason="tensorstore is not installed")
def test_what_we_write_tensorstore_reads(tmp_path: Path) -> None:
    import ml_dtypes

    numbers = counted((5, 40, 50))
    names = "uint16 bool int8 >u4 float16 >f8 complex64".split()
    dtypes = [np.dtype(name) for name in names]
    dtypes += [np.dtype(ml_dtypes.bfloat16), np.dtype(ml_dtypes.float8_e5m2)]
    count = 0
    for dtype in dtypes:
        array = (
            numbers.astype(np.float32).astype(dtype) if dtype.kind == "V" else numbers.astype(dtype)
        )
        unfold(tmp_path / f"3-{dtype.name}", array, DEFAULT, 3)
        count += 1
    for number, compressor in enumerate((None, Blosc("lz4", 9, "none"), Zstd(9), Gzip(9))):
        for shards in ((), (2, 40, 40)):
            config = ZarrConfig(
                root="/data", chunks=(2, 10, 20), shards=shards, compressor=compressor
            )
            unfold(tmp_path / f"3-uint16-{number}-{len(shards)}", numbers, config, 3)
            count += 1
        config = ZarrConfig(root="/data", chunks=(2, 10, 20), compressor=compressor)
        unfold(tmp_path / f"2-uint16-{number}", numbers, config, 2)
        count += 1
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == count


@pytest.mark.parametrize("dtype", [[("a", "u2"), ("b", "f8")], "V16"])
def test_what_zarr_python_reads_from_no_shard_is_put_into_none(dtype: object) -> None:
    spec = ArraySpec((1_000_000,), str(dtype), (), (1_000_000,))
    many, few = (
        array_plan(spec, np.dtype(cast("str", it)), DEFAULT, {}).unwrap().meta.grid
        for it in (dtype, "f8")
    )
    assert not many.is_sharded
    assert few.is_sharded

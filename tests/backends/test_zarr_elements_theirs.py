"""Arrays that tensorstore wrote are read as they were; in a process of its own, for it warns."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from zarr_files import below_folder, memory_files

from polystore.backends.zarr.elements.documents import documents_in
from polystore.backends.zarr.elements.interpret import array_meta
from polystore.backends.zarr.elements.reading import read_elements
from polystore.core.payload import HostArray
from polystore.core.region import whole

SHAPE = (7, 9)

SCRIPT = """
import json, sys
import ml_dtypes, numpy as np, tensorstore as ts

for name, spec in json.loads(sys.argv[2]).items():
    driver = "zarr" if "dtype" in spec else "zarr3"
    kvstore = {"driver": "file", "path": f"{sys.argv[1]}/{name}"}
    made = {"driver": driver, "kvstore": kvstore, "metadata": {"shape": [7, 9], **spec}}
    store = ts.open(made, create=True).result()
    values = (np.arange(63).reshape(7, 9) % 4).astype(store.dtype.numpy_dtype)
    store.write(values).result()
"""

GRID = {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 6]}}}

LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}

BIG = {"name": "bytes", "configuration": {"endian": "big"}}

GZIP = {"name": "gzip", "configuration": {"level": 3}}

ZSTD = {"name": "zstd", "configuration": {"level": 1}}

BLOSC = {
    "name": "blosc",
    "configuration": {
        "cname": "lz4",
        "clevel": 5,
        "shuffle": "bitshuffle",
        "typesize": 2,
        "blocksize": 0,
    },
}

SHARDS = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": [2, 3],
        "codecs": [LITTLE, BLOSC, {"name": "crc32c"}],
        "index_codecs": [LITTLE, {"name": "crc32c"}],
        "index_location": "start",
    },
}

EXTENDED = (
    "bfloat16 int2 int4 float4_e2m1fn float8_e3m4 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz"
    " float8_e5m2 float8_e5m2fnuz float8_e8m0fnu"
).split()

SPECS: dict[str, dict[str, object]] = {
    **{name: {"data_type": name, **GRID} for name in EXTENDED},
    "big bfloat16": {"data_type": "bfloat16", "codecs": [BIG], **GRID},
    "big": {"data_type": "uint16", "codecs": [BIG, ZSTD], **GRID},
    "gzip": {"data_type": "float32", "codecs": [LITTLE, GZIP], **GRID},
    "shards": {"data_type": "int64", "codecs": [SHARDS], **GRID},
    "transposed": {
        "data_type": "uint8",
        "codecs": [{"name": "transpose", "configuration": {"order": [1, 0]}}, {"name": "bytes"}],
        **GRID,
    },
    "v2": {"dtype": "<u2", "chunks": [3, 4], "compressor": {"id": "zlib", "level": 1}},
    "v2 big": {"dtype": ">f4", "chunks": [3, 4], "dimension_separator": "/"},
    "v2 bfloat16": {"dtype": "bfloat16", "chunks": [3, 4]},
}

needs_tensorstore = pytest.mark.skipif(
    find_spec("tensorstore") is None, reason="tensorstore is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("theirs")
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder), json.dumps(SPECS)]
    subprocess.run(command, check=True, timeout=120)
    return folder


def expected(name: str) -> HostArray:
    words = str(SPECS[name].get("data_type", SPECS[name].get("dtype")))
    dtype = np.dtype(getattr(ml_dtypes, words, words))
    return (np.arange(63).reshape(SHAPE) % 4).astype(dtype)


@needs_tensorstore
@pytest.mark.parametrize("name", SPECS)
def test_arrays_of_tensorstore_are_read(name: str, folder: Path) -> None:
    files = memory_files(below_folder(folder / name))
    documents = documents_in(files).unwrap()
    assert documents is not None
    meta = array_meta(documents).unwrap()
    assert (meta.chain is None) is (name == "transposed")
    array = read_elements(files, meta, whole(SHAPE), 10**6).outcome.unwrap()
    assert array.dtype == expected(name).dtype
    assert array.tobytes() == expected(name).tobytes()

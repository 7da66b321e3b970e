"""Arrays that zarr-python wrote, in memory: what the reader of elements is compared with."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Literal

import numpy as np
from attrs import frozen

from polystore.core.payload import HostArray

__all__ = ["Oracle", "told"]

ZARR_PYTHON = import_module("zarr")
"""Its functions' own types are unknown to pyright where fsspec is not installed."""


@frozen
class Oracle:
    """The files of an array, and what zarr-python reads in them."""

    content: dict[str, bytes]
    array: HostArray


def told(
    array: HostArray,
    chunks: Sequence[int],
    shards: Sequence[int] | None = None,
    zarr_format: Literal[2, 3] = 3,
    options: Mapping[str, object] | None = None,
) -> Oracle:
    """Write an array by zarr-python, and read it again."""
    store = ZARR_PYTHON.storage.MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ZARR_PYTHON.create_array(
            store,
            shape=array.shape,
            dtype=array.dtype,
            chunks=tuple(chunks),
            shards=None if shards is None else tuple(shards),
            zarr_format=zarr_format,
            **(options or {}),
        )
        made[...] = array
        opened = ZARR_PYTHON.open_array(store, mode="r")
        # Without axes it gives a scalar, which is in the machine's byte order.
        seen = np.array(opened[...], opened.dtype)
    content = {key: bytes(value.to_bytes()) for key, value in store._store_dict.items()}
    return Oracle(content, seen)

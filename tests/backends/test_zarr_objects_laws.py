"""Zarr arrays in a store of bytes keep the laws of stores, where they are written once."""

from __future__ import annotations

import tempfile

import pytest
from attrs import evolve

from polystore import DiskConfig, ZarrConfig
from polystore.backends.zarr import ZARR
from polystore.testing import law_named, laws_for

IN_BYTES = evolve(ZARR, move=None, lock=None)
"""The record as far as it goes over a store of bytes, which moves nothing in one step."""

CHOSEN = (
    "a store does what a dict does",
    "what was deleted is gone, and nothing else is",
    "a delete takes no folder that has something in it",
    "every key keeps its own content",
    "a key is a file or a folder, never both",
    "a folder lists what is below it, and no more",
    "what is listed is a key, and a file",
    "children show, folder by folder, what is listed",
    "a new store is empty",
    "a folder that is not there has nothing in it",
    "what is missing is an error that names the key",
    "what is in the way is an error that names the key",
    "a save that fails half-way leaves what was there",
    "of many writers at once under keys of their own, all are kept",
    "of two writers, one in the midst of the other, one wins",
    "a reader beside a writer sees the old or the new, never a mixture",
    "a save that is under way is not seen",
    "a listing beside a writer shows all that stays",
    "another process sees what was saved",
)
"""Those about keys, folders and writers; what is in an array is the same in a folder."""


def in_files() -> ZarrConfig:
    return ZarrConfig(root="a.zarr", store=DiskConfig(root=tempfile.mkdtemp()))


@pytest.mark.parametrize("name", CHOSEN)
def test_a_zarr_store_in_a_store_of_bytes_keeps_the_law(name: str) -> None:
    law = law_named(name)
    assert law in laws_for(IN_BYTES)
    law.check(IN_BYTES, in_files, 1)

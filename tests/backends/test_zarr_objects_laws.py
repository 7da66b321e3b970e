"""Zarr arrays in a store of bytes keep the laws of stores, where they are written once."""

from __future__ import annotations

import tempfile

import pytest
from attrs import evolve

from polystore import DiskConfig, ZarrConfig
from polystore.backends.zarr import ZARR
from polystore.testing import Law, laws_for

IN_BYTES = evolve(ZARR, move=None, lock=None)
"""The record as far as it goes over a store of bytes, which moves nothing in one step."""

SLOW = {
    "a writer that is killed leaves what was there",  # test_zarr_objects_whole.py: in less time
    'of many writers at once, one wins under "fail"',
    "many keys are all listed",
    "every dtype comes back, bit for bit, or is refused",  # as in a folder: the elements are one
}


def in_files() -> ZarrConfig:
    return ZarrConfig(root="a.zarr", store=DiskConfig(root=tempfile.mkdtemp()))


@pytest.mark.parametrize("law", [it for it in laws_for(IN_BYTES) if str(it) not in SLOW], ids=str)
def test_a_zarr_store_in_a_store_of_bytes_keeps_the_law(law: Law) -> None:
    law.check(IN_BYTES, in_files, 1)

"""Every built-in store is held to every law of stores that its fields let it be held to."""

from __future__ import annotations

import pytest
from attrs import frozen
from store_makers import fsynced_disk, new_disk, new_memory, new_zarr

from polystore.backends.disk import DISK
from polystore.backends.memory import MEMORY
from polystore.backends.zarr import ZARR
from polystore.core.registry import Record
from polystore.testing import Law, laws_for
from polystore.testing.law import Make


@frozen
class Case:
    """A built-in store, a maker of its configs, and how many examples are worth their time."""

    name: str
    record: Record
    make: Make
    max_examples: int


CASES = (
    Case("disk", DISK, new_disk, 100),
    Case("disk, fsync", DISK, fsynced_disk, 20),
    Case("memory", MEMORY, new_memory, 100),
    Case("zarr", ZARR, new_zarr, 30),
)


@pytest.mark.parametrize(
    ("case", "law"),
    [
        pytest.param(case, law, id=f"{case.name}: {law}")
        for case in CASES
        for law in laws_for(case.record)
    ],
)
def test_a_built_in_store_keeps_the_law(case: Case, law: Law) -> None:
    law.check(case.record, case.make, case.max_examples)

"""Every built-in store is held to every law of stores that its fields let it be held to."""

from __future__ import annotations

import pytest
from attrs import frozen
from store_makers import (
    filled_and_read_only,
    filled_and_virtual,
    filled_plate_of_fields,
    filled_plate_of_files,
    fsynced_disk,
    new_disk,
    new_images,
    new_memory,
    new_route,
    new_zarr,
)

from polystore.backends.disk import DISK
from polystore.backends.memory import MEMORY
from polystore.backends.readonly import READONLY
from polystore.backends.route import ROUTE
from polystore.backends.virtual import VIRTUAL
from polystore.backends.zarr import ZARR
from polystore.builtin import BUILTIN
from polystore.configs import ObjectConfig
from polystore.core.registry import StoreRecord
from polystore.testing import Law, laws_for
from polystore.testing.law import Make


@frozen
class Case:
    """A built-in store, a maker of its configs, and how many examples are worth their time.

    `but` names a law that speaks of keys which the store refuses.
    """

    name: str
    record: StoreRecord
    make: Make
    max_examples: int
    but: str = ""


MISSING = "what is missing is an error that names the key"


CASES = (
    Case("disk", DISK, new_disk, 40),
    Case("disk, fsync", DISK, fsynced_disk, 4),
    Case("memory", MEMORY, new_memory, 40),
    Case("zarr", ZARR, new_zarr, 10),
    Case("zarr, images", ZARR, new_images, 2),
    Case("zarr, plate of fields", READONLY, filled_plate_of_fields, 2),
    Case("zarr, plate of files", READONLY, filled_plate_of_files, 2, MISSING),
    Case("route", ROUTE, new_route, 8),
    Case("read-only", READONLY, filled_and_read_only, 10),
    Case("virtual", VIRTUAL, filled_and_virtual, 10),
)


@pytest.mark.parametrize(
    ("case", "law"),
    [
        pytest.param(case, law, id=f"{case.name}: {law}")
        for case in CASES
        for law in laws_for(case.record)
        if law.name != case.but
    ],
)
def test_a_built_in_store_keeps_the_law(case: Case, law: Law) -> None:
    law.check(case.record, case.make, case.max_examples)


ELSEWHERE = {ObjectConfig: "it needs a server: tests/backends/test_backend_objects_laws.py"}


def test_every_built_in_store_is_held_to_the_laws() -> None:
    held = {case.record.config for case in CASES} | set(ELSEWHERE)
    assert {entry.key for entry in BUILTIN.stores} == held

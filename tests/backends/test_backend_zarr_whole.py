"""A save, replacement or deletion in Zarr is whole or has not been: killed, failed, interrupted."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from attrs import evolve
from descriptors import few_descriptors
from zarr_access import delete, hidden_in
from zarr_processes import (
    interrupt,
    kill,
    put_value,
    run,
    stopped_ever_later,
    store_at,
    stores_in,
    value_at,
)

from polystore import Item, NoSpace, ZarrConfig, list_files, save
from polystore.backends.heldfolder import HIDDEN_FOLDER, pin

Job = Literal["replace", "fail", "delete"]

BEFORE_AND_AFTER: dict[Job, tuple[int | None, int | None]] = {
    "replace": (1, 2),
    "fail": (None, 2),
    "delete": (1, None),
}

every_job = pytest.mark.parametrize("job", list(BEFORE_AND_AFTER))


def stopped_jobs(base: Path, job: Job, stop: Callable[[], None]) -> None:
    """Run a job in children that are stopped ever later."""

    def prepare(store: ZarrConfig) -> None:
        if job != "fail":
            put_value(store, "a", 1).unwrap()

    def act(store: ZarrConfig) -> None:
        if job == "delete":
            delete(store, "a").unwrap()
        else:
            put_value(store, "a", 2, job).unwrap()

    stopped_ever_later(base, prepare, act, stop)


@every_job
def test_a_killed_writer_leaves_the_old_or_the_new(tmp_path: Path, job: Job) -> None:
    base = tmp_path / "killed"
    run(stopped_jobs, base, job, kill)
    before, after = BEFORE_AND_AFTER[job]
    found: list[int | None] = []
    for store in stores_in(base):
        value = value_at(store, "a")
        found.append(value)
        if (Path(store.root) / "zarr.json").exists():
            assert list_files(store).unwrap() == (() if value is None else ("a",))
        for path in hidden_in(store):
            os.utime(path, (0, 0))
        assert put_value(store, "a", 3, "replace").unwrap() == "written"
        assert value_at(store, "a") == 3
        assert list_files(store).unwrap() == ("a",)
        assert hidden_in(store) == [], "what is left is swept"
    steps = found.count(before), found.count(after)
    assert found == [before] * steps[0] + [after] * steps[1]
    assert sum(steps) > 10
    assert steps[0] > 1
    # A new array is in place with the last operation.
    assert steps[1] > 1 or job == "fail"


@every_job
def test_an_exception_anywhere_leaves_the_old_or_the_new(tmp_path: Path, job: Job) -> None:
    base = tmp_path / "interrupted"
    run(stopped_jobs, base, job, interrupt)
    before, after = BEFORE_AND_AFTER[job]
    for store in stores_in(base):
        value = value_at(store, "a")
        assert value in (before, after)
        # Only what was replaced or deleted already may be left: nobody sees it, and it is swept.
        assert value == after or hidden_in(store) == []


def save_under_a_limit(store: ZarrConfig, nbytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, resource.RLIM_INFINITY))
    store = evolve(store, chunks=None)
    noise = np.random.default_rng(0).integers(0, 2**32, (64, 64), "u4")
    for step in (save(store, if_exists="replace")(Item("a", noise)), save(store)(Item("b", noise))):
        assert isinstance(step.failure(), NoSpace), step


@pytest.mark.parametrize("nbytes", [64, 4096], ids=["for the document", "for a chunk"])
def test_without_room_the_old_array_stays(tmp_path: Path, nbytes: int) -> None:
    store = store_at(tmp_path)
    put_value(store, "a", 1).unwrap()
    run(save_under_a_limit, store, nbytes)
    assert value_at(store, "a") == 1
    assert list_files(store).unwrap() == ("a",)
    assert hidden_in(store) == []


def test_the_sweeper_leaves_what_is_held_or_new(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    put_value(store, "a", 1).unwrap()
    names = [f"{HIDDEN_FOLDER}{word}" for word in ("old", "new", "held")]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text("{}")
        os.utime(tmp_path / name, None if name.endswith("new") else (0, 0))
    held = os.open(tmp_path / names[2], os.O_RDONLY)
    try:
        pin(held)
        assert list_files(store).unwrap() == ("a",)
        assert sorted(path.name for path in hidden_in(store)) == sorted(names[1:])
    finally:
        os.close(held)


@pytest.mark.parametrize("free", range(10))
def test_what_is_left_without_descriptors_is_swept(tmp_path: Path, free: int) -> None:
    store = store_at(tmp_path)
    for number in range(2):
        put_value(store, "g/a", number, "replace").unwrap()
    with few_descriptors(free):
        put_value(store, "g/a", 2, "replace")
        put_value(store, "g/b", 2)
    kept = list_files(store).unwrap()
    for path in hidden_in(store):
        os.utime(path, (0, 0), follow_symlinks=False)
    assert list_files(store).unwrap() == kept
    assert hidden_in(store) == []

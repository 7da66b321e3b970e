"""A writer of an OME-Zarr image that is killed leaves the old or the new, at all resolutions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from image_processes import (
    LEVELS,
    SHAPE,
    Version,
    images_at,
    left_after_sweep,
    one_value,
    save_part,
    save_value,
    values_of,
)
from zarr_processes import at_operation, in_fork, kill, run

from polystore import Item, ZarrConfig, list_files, load, save

Job = Literal["save", "replace", "region", "label"]


def _save_label(store: ZarrConfig, value: int) -> None:
    label = Item("img/labels/cells", np.full(SHAPE, value, "u2"))
    save(store, if_exists="replace")(label).unwrap()


JOBS: dict[Job, Callable[[ZarrConfig, int], None]] = {
    "save": save_value,
    "replace": save_value,
    "region": save_part,
    "label": _save_label,
}


def _prepare(store: ZarrConfig, job: Job) -> None:
    if job != "save":
        save_value(store, 1)


def _killed_ever_later(base: Path, version: Version, job: Job) -> None:
    """Do a job in children that are killed ever later, each in a store of its own."""
    warm = images_at(base.with_name("warm"), version)
    for value in (1, 2):
        save_value(warm, value)
    JOBS[job](warm, 3)
    values_of(warm)
    for number in count(1, 4):
        store = images_at(base / f"{number:04}", version)
        _prepare(store, job)

        def killed(store: ZarrConfig = store, number: int = number) -> None:
            at_operation(number, kill)
            JOBS[job](store, 2)

        if in_fork(killed) == 0:
            return


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("job", JOBS)
def test_a_killed_writer_leaves_the_old_image_or_the_new(
    tmp_path: Path, job: Job, version: Version
) -> None:
    base = tmp_path / "killed"
    run(_killed_ever_later, base, version, job)
    found: list[int] = []
    key = "img/labels/cells" if job == "label" else "img"
    before = 0 if job in ("save", "label") else 1
    for root in sorted(base.iterdir()):
        store = images_at(root, version)
        folder = "img/labels" if job == "label" else ""
        there = list_files(store, folder=folder) if root.is_dir() else None
        keys = () if there is None else there.value_or(())
        if keys:
            assert keys == (key,)
            values = [one_value(load(store)(key).unwrap().payload), *values_of(store, key)]
            assert values == [values[0]] * (LEVELS + 1), "resolutions of two generations"
            found.append(values[0])
        else:
            found.append(0)
        if job == "label":
            assert values_of(store) == [1] * LEVELS
        JOBS[job](store, 3)  # nobody holds a lock
        assert values_of(store, key) == [3] * LEVELS
        assert left_after_sweep(store) == []
    assert found == sorted(found)
    assert set(found) == {before, 2}
    assert len(found) > 5

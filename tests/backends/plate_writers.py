"""Processes that write plates side by side, for the tests of the PLATE layout."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from attrs import evolve
from zarr_processes import run, start_fork, wait_for

from polystore import (
    TIFF,
    DiskConfig,
    Item,
    Metadata,
    PlateNames,
    ZarrConfig,
    ZarrLayout,
    collect,
    compose,
    fold,
    list_files,
    load,
    save,
)
from polystore.core.payload import HostArray

__all__ = [
    "NAMES",
    "WELLS",
    "about",
    "assert_listed",
    "document",
    "field",
    "listed_fields",
    "map_files",
    "plane",
    "plate_at",
    "save_fields",
    "save_planes",
    "side_by_side",
]

WELLS = [f"{row}/{column}" for row in "ABCDEFGH" for column in range(1, 13)]

NAMES = PlateNames("{row}{column:02}_s{field}_w{channel}.tif")

CYX = Metadata(axes=("c", "y", "x"))


def plate_at(root: Path, names: PlateNames | None = None) -> ZarrConfig:
    return ZarrConfig(root=root / "plate.zarr", layout=ZarrLayout.PLATE, names=names)


def field(key: str) -> HostArray:
    """Give the array of a field, another for each key."""
    seed = list(key.encode())
    return np.random.default_rng(seed).integers(0, 2**16, (2, 24, 31)).astype(np.uint16)


def document(store: ZarrConfig, key: str = "") -> dict[str, object]:
    """Give what a group says in OME-Zarr's words."""
    text = json.loads((Path(store.root) / key / "zarr.json").read_text())
    return cast("dict[str, object]", text["attributes"].get("ome", {}))


def listed_fields(store: ZarrConfig) -> set[str]:
    """Give the fields that the metadata of the plate and of its wells list, as any reader sees."""
    plate = cast("dict[str, list[dict[str, object]]]", document(store).get("plate", {"wells": []}))
    fields: set[str] = set()
    rows = [row["name"] for row in plate.get("rows", [])]
    columns = [column["name"] for column in plate.get("columns", [])]
    for well in plate["wells"]:
        path = str(well["path"])
        at = cast("int", well["rowIndex"]), cast("int", well["columnIndex"])
        assert path == f"{rows[at[0]]}/{columns[at[1]]}"
        images = cast("dict[str, list[dict[str, str]]]", document(store, path)["well"])["images"]
        fields |= {f"{path}/{image['path']}" for image in images}
    return fields


def assert_listed(store: ZarrConfig, keys: Sequence[str]) -> None:
    """Assert that these fields are listed, whole, and that nothing is listed that is not there."""
    there = set(list_files(store).unwrap())
    assert listed_fields(store) <= there
    assert set(keys) <= listed_fields(store)
    for key in keys:
        np.testing.assert_array_equal(load(store)(key).unwrap().payload, field(key))


def save_fields(store: ZarrConfig, keys: Sequence[str]) -> list[str]:
    """Save fields; give those that were acknowledged. The first failure is raised."""
    saved = (save(store)(Item(key, field(key), CYX)) for key in keys)
    return [fold(each, lambda it: it.key, _raised) for each in saved]


def _raised(error: object) -> str:
    raise AssertionError(error)


def plane(key: str, shape: tuple[int, int] = (40, 33)) -> HostArray:
    """Give the plane of a file, another for each name."""
    seed = list(key.encode())
    return np.random.default_rng(seed).integers(0, 2**16, shape).astype(np.uint16)


def about(key: str) -> Metadata:
    """Give the metadata of a file, which is its own."""
    return Metadata(
        axes=("y", "x"), scale=(0.5, 0.25), unit=("micrometer",) * 2, attributes={"file": key}
    )


def save_planes(store: ZarrConfig, keys: Sequence[str]) -> list[str]:
    """Save planes; give those that were acknowledged. The first failure is raised."""
    saved = (save(store)(Item(key, plane(key), about(key))) for key in keys)
    return [fold(each, lambda it: it.key, _raised) for each in saved]


def map_files(disk: DiskConfig, plate: ZarrConfig, keys: Sequence[str]) -> None:
    """Save files to a plate by six processes of a pool."""
    pipeline = compose(load(disk, format=TIFF), save(plate))
    save_planes(evolve(plate, root=f"{plate.root}-warm"), keys[:2])
    with ProcessPoolExecutor(6, multiprocessing.get_context("fork")) as pool:
        report = collect(pipeline.map(keys, executor=pool))
    assert not report.errors
    assert len(report.saved) == len(keys)


Act: TypeAlias = Callable[[ZarrConfig, Sequence[str]], list[str]]


def side_by_side(
    store: ZarrConfig, parts: Sequence[Sequence[str]], act: Act = save_fields
) -> list[str]:
    """Act in as many processes as there are parts; give all that they gave.

    They are forked by one that has imported everything, and has no threads.
    """
    gave = Path(f"{store.root}-gave")
    gave.mkdir(parents=True)
    run(_in_forks, store, parts, act, gave)
    return [key for path in sorted(gave.iterdir()) for key in json.loads(path.read_text())]


def _in_forks(store: ZarrConfig, parts: Sequence[Sequence[str]], act: Act, gave: Path) -> None:
    act(evolve(store, root=f"{store.root}-warm"), parts[0][:1])
    children = [
        start_fork(partial(_give, store, part, act, gave / str(number)))
        for number, part in enumerate(parts)
    ]
    assert [wait_for(child) for child in children] == [0] * len(parts)


def _give(store: ZarrConfig, keys: Sequence[str], act: Act, path: Path) -> None:
    path.write_text(json.dumps(act(store, keys)))

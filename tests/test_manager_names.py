"""A name that no store has is an error, of every operation, and says which names there are."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import cast

import pytest

from polystore import (
    BackendNotRegistered,
    DiskConfig,
    FileManager,
    Item,
    MemoryConfig,
    Outcome,
    Payload,
    Success,
    ZarrConfig,
)


@pytest.fixture
def stores(tmp_path: Path) -> FileManager:
    manager = FileManager(
        {
            "disk": DiskConfig(root=tmp_path / "plate"),
            "view": DiskConfig(root=tmp_path / "view"),
            "memory": MemoryConfig(name="names"),
            "zarr": ZarrConfig(root=tmp_path / "plate.zarr"),
        }
    )
    manager.save(Item("b.json", 1), "disk").unwrap()
    return manager


WRONG: dict[str, Callable[[FileManager], object]] = {
    "load": lambda m: m.load("k", "dsk"),
    "lazy": lambda m: m.load("k", "dsk", lazy=True),
    "save": lambda m: m.save(Item("k", 1), "dsk"),
    "load_batch": lambda m: m.load_batch(["k"], "dsk")[0][1],
    "save_batch": lambda m: m.save_batch([Item("k", 1)], "dsk")[0][1],
    "exists": lambda m: m.exists("k", "dsk"),
    "is_file": lambda m: m.is_file("k", "dsk"),
    "is_dir": lambda m: m.is_dir("k", "dsk"),
    "is_symlink": lambda m: m.is_symlink("k", "dsk"),
    "stat": lambda m: m.stat("k", "dsk"),
    "list_files": lambda m: m.list_files("dsk"),
    "iter_files": lambda m: next(m.iter_files("dsk")),
    "list_image_files": lambda m: m.list_image_files("dsk"),
    "list_dir": lambda m: m.list_dir("dsk"),
    "find_file": lambda m: m.find_file("k", "dsk"),
    "collect_dirs_and_files": lambda m: m.collect_dirs_and_files("dsk"),
    "load_stack": lambda m: m.load_stack("dsk"),
    "ensure_directory": lambda m: m.ensure_directory("k", "dsk"),
    "delete": lambda m: m.delete("k", "dsk"),
    "delete_tree": lambda m: m.delete_tree("k", "dsk"),
    "copy": lambda m: m.copy("k", from_="dsk"),
    "copy to": lambda m: m.copy("b.json", from_="disk", to="dsk"),
    "move": lambda m: m.move("k", from_="dsk"),
    "move to": lambda m: m.move("b.json", from_="disk", to="dsk"),
    "create_symlink": lambda m: m.create_symlink("k", "dsk", "b.json"),
    "create_symlink to": lambda m: m.create_symlink("k", "view", "k", target_backend="dsk"),
    "mirror": lambda m: m.mirror(from_="dsk", to="view"),
    "mirror to": lambda m: m.mirror(from_="disk", to="dsk"),
    "update": lambda m: m.update("k", "dsk", unchanged_json),
    "locked": lambda m: m.locked("k", "dsk", lambda: Success(1)),
    "store": lambda m: m.store("dsk"),
}


def unchanged_json(value: Payload | None) -> Payload:
    return value


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_name_is_an_error_that_lists_the_right_ones(name: str, stores: FileManager) -> None:
    before = stores.list_files("disk")
    error = cast("Outcome[object]", WRONG[name](stores)).failure()
    assert isinstance(error, BackendNotRegistered)
    assert error.message == "No store is called 'dsk'."
    known = "The names are 'disk', 'memory', 'view', 'zarr'."
    assert error.advice == f"Did you mean 'disk'? {known}"
    assert error.key in ("", "k", "b.json")
    assert stores.list_files("disk") == before


def test_every_operation_is_tried_with_a_wrong_name() -> None:
    public = {name for name in vars(FileManager) if not name.startswith("_")}
    asked = {name.partition(" ")[0] for name in WRONG}
    others = {"stores", "dispatcher", "names", "run", "from_file", "from_environment"}
    assert public - others == asked - {"lazy"}


@pytest.mark.parametrize("name", ["", "DISK ", 3, None, [], ("disk",), b"disk"])
def test_what_is_no_name_is_an_error_too(name: object, stores: FileManager) -> None:
    error = stores.exists("b.json", cast("str", name)).failure()
    assert isinstance(error, BackendNotRegistered)
    assert repr(name) in error.message


@pytest.mark.parametrize("name", ["Disk", "DISK", "dsik", "disks"])
def test_the_near_name_is_suggested_whatever_its_case(name: str, stores: FileManager) -> None:
    assert "Did you mean 'disk'?" in stores.exists("b.json", name).failure().advice


def test_a_name_may_be_a_member_of_an_enum_of_texts(stores: FileManager) -> None:
    class Where(StrEnum):
        DISK = "disk"

    assert stores.exists("b.json", Where.DISK).unwrap()

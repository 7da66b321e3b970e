"""Stores by name that must type-check: with frameworks installed, and with the core alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from polystore import (
    NPY,
    TIFF,
    DiskConfig,
    FileManager,
    HostArray,
    Item,
    Key,
    KeyLike,
    LazyArray,
    MemoryConfig,
    Outcome,
    Payload,
    Pipeline,
    ReadOnlyConfig,
    Report,
    Saved,
    Stat,
    Store,
    Success,
    TiffOptions,
    Tree,
    ZarrConfig,
    collect,
    compose,
    convert,
    default_dispatcher,
    load,
    save,
)

stores = FileManager({"disk": DiskConfig(root="plate"), "zarr": ZarrConfig(root="plate.zarr")})
FileManager({"raw": ReadOnlyConfig(DiskConfig(root="plate"))}, default_dispatcher())
FileManager({"memory": MemoryConfig()}, dispatcher=default_dispatcher())
FileManager({})
assert_type(FileManager.from_file("stores.toml"), Outcome[FileManager])
assert_type(FileManager.from_file(Path("stores.json")), Outcome[FileManager])
assert_type(FileManager.from_environment("LAB"), Outcome[FileManager])
assert_type(stores.names, tuple[str, ...])

# One item.
assert_type(stores.load("A01.tif", "disk"), Outcome[Item[Payload]])
assert_type(stores.load("A01.tif", backend="disk"), Outcome[Item[Payload]])
assert_type(stores.load(Path("A01.tif"), "disk", format=TIFF), Outcome[Item[HostArray]])
assert_type(stores.load("A01.tif", "disk", lazy=True), Outcome[Item[LazyArray]])
assert_type(stores.save(Item("a.json", {"wells": 96}), "disk"), Outcome[Saved])
stores.save(Item("a.tif", stores.load("a", "disk", format=NPY).unwrap().payload), "disk", "skip")
stores.save(Item("a.txt", "x"), "disk", if_exists="replace", options=TiffOptions(level=3))
stores.save(convert(to="numpy")(stores.load("a", "disk").unwrap()).unwrap(), "zarr")

# Many.
loaded = stores.load_batch(["A01.tif", Path("A02.tif")], "disk")
assert_type(loaded, tuple[tuple[KeyLike, Outcome[Item[Payload]]], ...])
images = stores.load_batch(["A01.tif"], "disk", format=TIFF, max_workers=2)
assert_type(images, tuple[tuple[KeyLike, Outcome[Item[HostArray]]], ...])
assert_type(collect(images).values, tuple[Item[HostArray], ...])
stores.load_batch(stores.list_files("disk", suffixes=".tif").unwrap(), "disk")
saved = stores.save_batch([Item("a.json", 1), Item("b.txt", "x")], "disk", "skip")
assert_type(saved, tuple[tuple[str, Outcome[Saved]], ...])
assert_type(collect(saved).saved, tuple[Saved, ...])

# Pipelines.
assert_type(stores.store("disk"), Outcome[Store[Payload, Payload]])
assert_type(stores.store("disk", DiskConfig), Outcome[DiskConfig])
disk = stores.store("disk", DiskConfig).unwrap()
zarr = stores.store("zarr", ZarrConfig).unwrap()
pipeline = compose(load(disk), convert(to="jax"), save(zarr))
assert_type(pipeline, Pipeline[KeyLike, Saved])
assert_type(stores.run(pipeline, "A01.tif"), Outcome[Saved])
assert_type(stores.run(load(zarr), "A01"), Outcome[Item[HostArray]])
compose(load(stores.store("zarr").unwrap()), save(stores.store("disk").unwrap()))

# Files.
assert_type(stores.exists("a", "disk"), Outcome[bool])
assert_type(stores.stat(Path("a"), "disk"), Outcome[Stat])
assert_type(stores.list_files("disk", folder="a", pattern="t*"), Outcome[tuple[Key, ...]])
assert_type(stores.iter_files("disk"), Iterator[Outcome[Key]])
assert_type(stores.list_dir("disk", folder="a"), Outcome[tuple[Key, ...]])
assert_type(stores.find_file("a.tif", "disk"), Outcome[Key])
assert_type(stores.collect_dirs_and_files("disk"), Outcome[Tree])
assert_type(stores.load_stack("disk", axis="t"), Outcome[Item[LazyArray]])
assert_type(stores.delete_tree("a", "disk"), Outcome[int])
assert_type(stores.copy("a", from_="disk", to="zarr"), Outcome[Saved])
assert_type(stores.move("a", "b", from_="disk", if_exists="replace"), Outcome[Saved])
assert_type(stores.create_symlink("a", "disk", "b"), Outcome[Key])
assert_type(stores.mirror(from_="disk", to="disk"), Outcome[Report[Key]])
assert_type(stores.locked("a", "disk", lambda: Success(3)), Outcome[int])


def counted(run: Payload | None) -> Payload:
    """Count."""
    return 1 if not isinstance(run, int) else run + 1


assert_type(stores.update("run.json", "disk", counted), Outcome[Saved])
stores.update("run.json", "disk", lambda run: run or {"tries": 1}, timeout=1)

"""Pipelines that must type-check: with frameworks installed, and with the core alone."""

from pathlib import Path
from typing import assert_type

from polystore import (
    NPY,
    TIFF,
    Apply,
    Array,
    Convert,
    DiskConfig,
    FileFormat,
    HostArray,
    Item,
    Json,
    Key,
    KeyLike,
    Load,
    MemoryConfig,
    Outcome,
    Payload,
    Pipeline,
    Rename,
    Report,
    Save,
    Saved,
    TiffOptions,
    ZarrConfig,
    apply,
    collect,
    compose,
    convert,
    default_dispatcher,
    from_spec,
    list_files,
    load,
    map_keys,
    read,
    rename,
    save,
    to_spec,
    write,
)

disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")
memory = MemoryConfig()
JSON: FileFormat[Json] = FileFormat("json", (".json",))


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image[::2, ::2]


def shape_of(image: Array) -> Json:
    """Take an array of any framework, give JSON."""
    return image.shape


def mean(image: HostArray) -> float:
    """Give a number."""
    return float(image.mean())


def shorter(key: str) -> str:
    """Give another key."""
    return key[1:]


# The main job.
pipeline = compose(load(disk), convert(to="jax"), save(zarr))
assert_type(pipeline, Pipeline[KeyLike, Saved])
outcome = pipeline("A01.tif")
assert_type(outcome, Outcome[Saved])
assert_type(list_files(disk, suffixes=(".tif",)), Outcome[tuple[Key, ...]])
report = collect(pipeline.map(list_files(disk).unwrap()))
assert_type(report, Report[Saved])
assert_type(report.saved, tuple[Saved, ...])
assert_type(report.skipped, tuple[Saved, ...])

# Single steps.
assert_type(load(disk), Load[Payload])
assert_type(load(zarr), Load[HostArray])
assert_type(load(disk, format=TIFF), Load[HostArray])
assert_type(load(disk, format=JSON), Load[Json])
assert_type(load(zarr)("a"), Outcome[Item[HostArray]])
assert_type(convert(to="numpy"), Convert[HostArray])
assert_type(rename(suffix=""), Rename)
assert_type(apply(halved), Apply[HostArray, HostArray])
assert_type(save(disk), Save[Payload])
assert_type(save(disk)(Item("a.json", {"wells": 96})), Outcome[Saved])
assert_type(Item("a", 3), Item[int])

# Keys are texts and paths, of one kind or of both.
pipeline(Path("plate") / "A01.tif")
pipeline.map(["A01.tif", Path("A02.tif")])
for _, saved in pipeline.map(Path("plate").glob("*.tif")):
    assert_type(saved, Outcome[Saved])

# A format narrows what a load gives; a rename keeps it.
assert_type(
    compose(load(disk, format=TIFF), rename(suffix=""), save(zarr)), Pipeline[KeyLike, Saved]
)
assert_type(
    compose(load(disk, format=JSON), rename(prefix="run3/"), save(disk)), Pipeline[KeyLike, Saved]
)
compose(load(disk, format=NPY), rename(shorter), rename("{stem}_c1.tif"), save(zarr))
assert_type(compose(load(zarr), rename(prefix="a/")), Pipeline[KeyLike, Item[HostArray]])
compose(rename(prefix="a/"), save(memory))

# Functions.
assert_type(compose(load(zarr), apply(halved), save(disk)), Pipeline[KeyLike, Saved])
assert_type(compose(load(zarr), apply(mean)), Pipeline[KeyLike, Item[float]])
compose(load(zarr), apply(shape_of), save(disk))
compose(load(disk), convert(to="numpy"), apply(halved), save(zarr))
compose(load(disk), convert(to="jax"), convert(to="torch"), convert(to="numpy"), save(zarr))

# A framework's array goes to every store that holds arrays, with a rename between too.
compose(load(disk), convert(to="torch", device="cpu", copy=False), save(zarr))
compose(load(zarr), convert(to="jax"), rename(suffix=".npy"), save(disk))
compose(load(disk), convert(to="tensorflow", device="gpu:0"), rename(suffix=""), save(zarr))
compose(load(disk), convert(to="cupy", device="cuda:1", copy=True), save(zarr))
compose(load(zarr), convert(to="cupy"), convert(to="tensorflow"), save(disk))
compose(load(zarr), convert(to="jax", casting="same_kind"), rename(suffix=""), save(memory))

# Options, a pipeline of pipelines, a dispatcher of one's own.
save(disk, if_exists="skip", options=TiffOptions(compression="zstd"))
first = compose(load(disk), convert(to="numpy"))
assert_type(first, Pipeline[KeyLike, Item[HostArray, Array]])
assert_type(compose(first, save(zarr)), Pipeline[KeyLike, Saved])
assert_type(compose(first, rename(suffix=""), save(zarr)), Pipeline[KeyLike, Saved])
assert_type(compose(compose(load(zarr)), compose(save(disk))), Pipeline[KeyLike, Saved])
assert_type(default_dispatcher().run(pipeline, "A01.tif"), Outcome[Saved])
assert_type(default_dispatcher().run(load(zarr), Path("A01")), Outcome[Item[HostArray]])
mapped = map_keys(default_dispatcher(), first, ["A01.tif"])
assert_type(collect(mapped).values, tuple[Item[HostArray, Array], ...])

# Eight steps.
eight = compose(
    load(disk),
    convert(to="jax"),
    convert(to="numpy"),
    apply(halved),
    rename(prefix="half/"),
    apply(halved),
    rename("{stem}_quarter"),
    save(zarr),
)
assert_type(eight, Pipeline[KeyLike, Saved])

# Specs.
assert_type(to_spec(pipeline), Outcome[Json])
assert_type(from_spec({"load": {"source": {"memory": {}}}}), Outcome[object])
from_spec(to_spec(eight).unwrap(), functions={"images:halved": halved})

# One path.
assert_type(read("/data/A01.tif"), Outcome[Item[Payload]])
assert_type(read("/data/A01.tif", format=TIFF), Outcome[Item[HostArray]])
assert_type(read(Path("b.tif"), format=TIFF).map(lambda it: it.payload), Outcome[HostArray])
write("/data/out.npy", read("/data/A01.tif", format=TIFF).unwrap().payload)

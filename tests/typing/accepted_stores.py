"""Stores made of others keep the types of what they are made of."""

from typing import assert_type

from polystore import (
    JSON,
    TIFF,
    Array,
    DiskConfig,
    HostArray,
    Item,
    Json,
    KeyLike,
    LazyArray,
    Load,
    MemoryConfig,
    Outcome,
    Payload,
    Pipeline,
    Place,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    Saved,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    apply,
    compose,
    convert,
    copy,
    create_symlink,
    delete,
    exists,
    list_files,
    load,
    load_stack,
    locked,
    mirror,
    move,
    save,
    stat,
    update,
)

disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")
memory = MemoryConfig()

# Read only: what the other gives.
assert_type(load(ReadOnlyConfig(zarr)), Load[HostArray])
assert_type(load(ReadOnlyConfig(disk)), Load[Payload])
assert_type(load(ReadOnlyConfig(disk), format=TIFF), Load[HostArray])
assert_type(load(ReadOnlyConfig(disk), format=JSON), Load[Json])
assert_type(load(ReadOnlyConfig(disk), lazy=True), Load[LazyArray])
assert_type(load(ReadOnlyConfig(ReadOnlyConfig(zarr))), Load[HostArray])
assert_type(ReadOnlyConfig(zarr), ReadOnlyConfig[HostArray])
compose(load(ReadOnlyConfig(zarr)), save(zarr))
compose(load(ReadOnlyConfig(disk), format=TIFF), save(zarr))

# Routed: anything, in and out.
plate = RouteConfig(
    routes=(
        Route(zarr, kinds=("array",)),
        Route(disk, kinds=("json", "text"), suffixes=(".json", ".txt")),
        Route(RouteConfig((Route(memory),))),
    )
)
assert_type(load(plate), Load[Payload])
assert_type(load(plate, format=TIFF), Load[HostArray])
assert_type(compose(load(disk), save(plate)), Pipeline[KeyLike, Saved])
assert_type(compose(load(plate), convert(to="jax"), save(plate)), Pipeline[KeyLike, Saved])
assert_type(save(plate)(Item("a.json", {"rows": 8})), Outcome[Saved])
assert_type(load(ReadOnlyConfig(plate)), Load[Payload])


# Virtual: arrays.
def well(key: str) -> VirtualItem | None:
    """Give where a key comes from."""
    return VirtualItem(Place(zarr, key), (0, (1, 2))) if key else None


views = VirtualConfig({"a": VirtualItem(Place(ReadOnlyConfig(disk), "s.tif"), (1,))})
assert_type(load(views), Load[HostArray])
assert_type(load(VirtualConfig(well, keys=("a", "b"))), Load[HostArray])
assert_type(load(views, lazy=True), Load[LazyArray])
assert_type(load(ReadOnlyConfig(views)), Load[HostArray])


def halved(image: HostArray) -> HostArray:
    """Take and give an array of the host."""
    return image[::2]


def first(image: Array) -> Array:
    """Take and give an array of any framework."""
    return image


compose(load(views), apply(halved), save(zarr))
compose(load(views), convert(to="torch"), apply(first), save(plate))

# Files of them.
list_files(views)
exists(ReadOnlyConfig(disk), "a")
stat(plate, "a")
delete(plate, "a")
move(plate, "a", "b")
copy(ReadOnlyConfig(disk), "a", to=plate)
copy(views, "a", to=zarr)
load_stack(ReadOnlyConfig(disk))
locked(plate, "a", lambda: stat(plate, "a"))
update(plate, "a.json", lambda run: run)
mirror(ReadOnlyConfig(disk), disk)
create_symlink(disk, "a", Place(ReadOnlyConfig(disk), "b"))
view = DiskConfig(root="view", links_to=(disk, DiskConfig(root="other")))


def counted(run: Json) -> Json:
    return run


assert_type(update(DiskConfig(root="plate"), "a.json", counted, format=JSON), Outcome[Saved])

"""What cannot be done to stores made of others."""

from polystore import (
    DiskConfig,
    HostArray,
    Item,
    Payload,
    Place,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    Sink,
    VirtualConfig,
    VirtualItem,
    ZarrConfig,
    compose,
    copy,
    create_symlink,
    delete,
    delete_tree,
    ensure_directory,
    load,
    locked,
    mirror,
    move,
    save,
    stat,
    update,
)


class StreamConfig(Sink[Payload]):
    """A store that is only written."""


disk = DiskConfig(root="plate")
zarr = ZarrConfig(root="plate.zarr")
raw = ReadOnlyConfig(disk)
plate = RouteConfig((Route(zarr, kinds=("array",)), Route(disk)))
views = VirtualConfig({"a": VirtualItem(Place(zarr, "b"))})

# What is read only is no sink, however it is wrapped.
save(raw)  # refused
save(ReadOnlyConfig(disk))  # refused
save(ReadOnlyConfig(zarr), if_exists="replace")  # refused
save(ReadOnlyConfig(plate))  # refused
save(ReadOnlyConfig(raw))  # refused
save(views)  # refused
save(ReadOnlyConfig(views))  # refused
compose(load(disk), save(raw))  # refused
compose(load(zarr), save(views))  # refused
delete(raw, "a")  # refused
delete_tree(raw, "a")  # refused
delete(views, "a")  # refused
ensure_directory(raw, "a")  # refused
move(raw, "a", "b")  # refused
move(views, "a", "b")  # refused
copy(disk, "a", to=raw)  # refused
copy(disk, "a", to=views)  # refused
update(raw, "a", lambda run: run)  # refused
locked(raw, "a", lambda: stat(raw, "a"))  # refused
mirror(disk, raw)  # refused
create_symlink(raw, "a", "b")  # refused

# What they are made of.
ReadOnlyConfig("plate")  # refused
ReadOnlyConfig(StreamConfig())  # refused
Route(raw)  # refused
Route(views)  # refused
Route(StreamConfig())  # refused
Route("plate")  # refused
Route(disk, kinds=("images",))  # refused
Route(disk, kinds="array")  # refused
Route(disk, suffixes=".json")  # refused
RouteConfig((disk, zarr))  # refused
RouteConfig(Route(disk))  # refused
VirtualItem(disk)  # refused
VirtualItem(Place(disk, "a"), 1.5)  # refused
VirtualItem(Place(disk, "a"), ("0",))  # refused
VirtualItem(Place(disk, "a"), ((0, 1, 2),))  # refused
Place(StreamConfig(), "a")  # refused
Place("plate", "a")  # refused
VirtualConfig({"a": Place(disk, "a")})  # refused
VirtualConfig({"a": zarr})  # refused
VirtualConfig(lambda key: key)  # refused
DiskConfig(root="view", links_to=(zarr,))  # refused
DiskConfig(root="view", links_to=("plate",))  # refused

# What they give.
compose(load(raw), save(zarr))  # refused: it may be JSON
compose(load(plate), save(zarr))  # refused
array: HostArray = load(plate)("a").unwrap().payload  # refused
item: Item[HostArray] = load(raw)("a").unwrap()  # refused
text: Item[str] = load(views)("a").unwrap()  # refused
save(plate)(Item("a", object()))  # refused

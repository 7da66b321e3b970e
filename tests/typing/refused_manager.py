"""Stores by name that must be refused: with frameworks installed, and with the core alone."""

from polystore import (
    TIFF,
    DiskConfig,
    FileManager,
    HostArray,
    Item,
    Outcome,
    Saved,
    ZarrConfig,
    compose,
    load,
    save,
)

stores = FileManager({"disk": DiskConfig(root="plate"), "zarr": ZarrConfig(root="plate.zarr")})
zarr = stores.store("zarr", ZarrConfig).unwrap()

# What it is made of.
FileManager({"disk": "plate"})  # refused
FileManager({3: DiskConfig(root="plate")})  # refused
FileManager("plate")  # refused
FileManager()  # refused
FileManager({}, "plate")  # refused
FileManager.from_file(3)  # refused
stores.stores = ()  # refused

# What is moved.
stores.load(3, "disk")  # refused
stores.load("a")  # refused
stores.load("a", DiskConfig(root="plate"))  # refused
stores.load("a", "disk", format="tiff")  # refused
stores.load("a", "disk", TIFF)  # refused
stores.save(3, "disk")  # refused
stores.save(Item("a", object()), "disk")  # refused
stores.save(Item("a", 3), "disk", if_exists="overwrite")  # refused
stores.load_batch([3], "disk")  # refused
stores.load_batch(stores.list_files("disk"), "disk")  # refused
stores.save_batch([3], "disk")  # refused
array: HostArray = stores.load("a", "disk").unwrap().payload  # refused
text: Outcome[str] = stores.save(Item("a", 3), "disk")  # refused

# Pipelines.
compose(load(stores.store("disk").unwrap()), save(zarr))  # refused: Zarr cannot hold JSON
load(stores.store("disk"))  # refused
number: int = stores.run(load(zarr), "a").unwrap()  # refused
stores.run(load(zarr), 3)  # refused

# Files.
stores.exists("a")  # refused
stores.exists(3, "disk")  # refused
stores.list_files("disk", "a")  # refused
stores.copy("a", "disk", "zarr")  # refused
stores.copy("a", from_=DiskConfig(root="plate"))  # refused
stores.create_symlink("a", "disk")  # refused
stores.locked("a", "disk", 3)  # refused
stores.update("a", "disk", len)  # refused
saved: Saved = stores.move("a", from_="disk")  # refused

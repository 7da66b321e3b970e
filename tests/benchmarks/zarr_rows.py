"""Arrays in Zarr against tensorstore, zarrs and zarr-python, all with the same codecs.

The others write into a folder that holds our document; we save into a store, whole and atomically.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from attrs import frozen
from measuring import Rounds, Row, fastest, in_words, ratio, seconds
from numpy.typing import NDArray

from polystore import (
    Dispatcher,
    HostArray,
    Item,
    Metadata,
    ZarrConfig,
    ZarrLayout,
    default_registry,
    load,
    save,
)
from polystore.backends.zarr.elements.plan import array_plan
from polystore.core.payload import ArraySpec

SHAPE = (64, 1024, 1024)  # uint16: 128 MB
TWO_MEGAPIXELS = (1024, 2048)
MANY = 1000
FORMS = {
    "chunked": ((1, 1024, 1024), ()),
    "sharded": ((1, 1024, 1024), (32, 1024, 1024)),
    "sharded, chunks of 512 KB": ((1, 512, 512), (32, 1024, 1024)),
}
WELLS = [f"{row}/{column}/0" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)]


def camera(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Give planes as of a camera: something smooth, and photon noise of each plane's own."""
    rows, columns = np.ogrid[: shape[-2], : shape[-1]]
    light = 800 + 600 * np.sin(columns / 90) * np.cos(rows / 70)
    rng = np.random.default_rng(0)
    planes = [rng.poisson(light).astype(np.uint16) for _ in range(int(np.prod(shape[:-2])))]
    return np.stack(planes).reshape(shape)


@frozen
class Library:
    """Another program's whole write into a folder that holds the document, and its read."""

    name: str
    write: Callable[[Path, HostArray], object]
    read: Callable[[Path], HostArray]


class ZarrPython(Protocol):
    """What is used of zarr-python's array."""

    def __getitem__(self, region: object) -> HostArray: ...
    def __setitem__(self, region: object, array: HostArray) -> None: ...


def by_zarr_python(name: str, pipeline: str) -> Library:
    """Give zarr-python, with a pipeline of codecs of its own or of zarrs."""
    zarr = import_module("zarr")
    chosen = partial(zarr.config.set, {"codec_pipeline.path": pipeline})
    opened = cast("Callable[..., ZarrPython]", zarr.open_array)

    def write(folder: Path, array: HostArray) -> None:
        with chosen():
            opened(str(folder), mode="r+")[...] = array

    def read(folder: Path) -> HostArray:
        with chosen():
            return opened(str(folder), mode="r")[...]

    return Library(name, write, read)


def by_tensorstore() -> Library:
    """Give tensorstore."""
    tensorstore = import_module("tensorstore")

    def opened(folder: Path) -> object:
        kvstore = {"driver": "file", "path": str(folder)}
        return tensorstore.open({"driver": "zarr3", "kvstore": kvstore}, open=True).result()

    def write(folder: Path, array: HostArray) -> None:
        cast("ZarrPython", opened(folder))[...] = array

    def read(folder: Path) -> HostArray:
        found = cast("Reading", opened(folder))
        return found.read().result()

    return Library("tensorstore", write, read)


class Read(Protocol):
    """A read that tensorstore has begun."""

    def result(self) -> HostArray: ...


class Reading(Protocol):
    """What is used of tensorstore's array."""

    def read(self) -> Read: ...


class FreshFolder:
    """Folders that are new for each call; the one before is removed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def __call__(self) -> Path:
        shutil.rmtree(self.folder / str(self.count), ignore_errors=True)
        self.count += 1
        return self.folder / str(self.count)


def in_turns(sides: dict[str, Callable[[], object]], how: Rounds) -> dict[str, float]:
    """Give the fastest time of each side, measured in turns."""
    for action in sides.values():
        action()
    rounds = [{name: seconds(it, 1) for name, it in sides.items()} for _ in range(how.rounds)]
    return {name: min(times[name] for times in rounds) for name in sides}


def large_arrays(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give the rows of 128 MB, in chunks of one plane, each in a file of its own or in shards."""
    image = camera(SHAPE)
    libraries = (
        by_tensorstore(),
        by_zarr_python("zarrs", "zarrs.ZarrsCodecPipeline"),
        by_zarr_python("zarr-python", "zarr.core.codec_pipeline.BatchedCodecPipeline"),
    )
    for form, (chunks, shards) in FORMS.items():
        here = folder / form
        config = ZarrConfig(root=here / "ours", chunks=chunks, shards=shards)
        spec = ArraySpec(SHAPE, "uint16", (), SHAPE)
        document = array_plan(spec, image.dtype, config, {}).unwrap().documents["zarr.json"]
        written = in_turns(writers(image, config, libraries, here, document), how)
        read = in_turns(readers(image, config, libraries, here, document), how)
        shutil.rmtree(here)
        for word, times in (("save", written), ("load", read)):
            faster = min(("tensorstore", "zarrs"), key=lambda name: times[name])
            what = f"{word} 128 MB Zarr, {form} / {faster}"
            yield ratio(what, (times["polystore"], times[faster]), 1 / 0.95)
        pair = (read["polystore"], read["zarr-python"])
        yield ratio(f"load 128 MB Zarr, {form} / zarr-python", pair, 1 / 2.5)


def writers(
    image: HostArray,
    config: ZarrConfig,
    libraries: tuple[Library, ...],
    folder: Path,
    document: bytes,
) -> dict[str, Callable[[], object]]:
    ours = FreshFolder(folder / "ours")

    def write_ours() -> None:
        save(config)(Item(ours().name, image)).unwrap()

    def write_theirs(library: Library, fresh: FreshFolder) -> None:
        path = fresh()
        path.mkdir(parents=True)
        (path / "zarr.json").write_bytes(document)
        library.write(path, image)

    sides: dict[str, Callable[[], object]] = {"polystore": write_ours}
    for library in libraries:
        fresh = FreshFolder(folder / library.name)
        sides[library.name] = partial(write_theirs, library, fresh)
    return sides


def readers(
    image: HostArray,
    config: ZarrConfig,
    libraries: tuple[Library, ...],
    folder: Path,
    document: bytes,
) -> dict[str, Callable[[], object]]:
    """Give the reads of one array, which we have written."""
    save(config)(Item("read", image)).unwrap()
    path = folder / "ours" / "read"
    (path / "zarr.json").write_bytes(document)  # without our notes: it is now like anyone's

    def read_ours() -> HostArray:
        return load(config)("read").unwrap().payload

    assert np.array_equal(read_ours(), image)
    assert all(np.array_equal(library.read(path), image) for library in libraries)
    sides: dict[str, Callable[[], object]] = {"polystore": read_ours}
    return {**sides, **{library.name: partial(library.read, path) for library in libraries}}


def many_images(folder: Path) -> Iterator[Row]:
    """Give the row of a thousand images, against what the codec itself takes on all cores."""
    images = list(camera((8, *TWO_MEGAPIXELS)))
    config = ZarrConfig(root=folder / "many.zarr")
    spec = ArraySpec(TWO_MEGAPIXELS, "uint16", (), TWO_MEGAPIXELS)
    meta = array_plan(spec, images[0].dtype, config, {}).unwrap().meta
    assert meta.chain is not None
    encode, tile = meta.chain.encode, meta.grid.chunk
    places = [
        (slice(y, y + tile[0]), slice(x, x + tile[1]))
        for y in range(0, TWO_MEGAPIXELS[0], tile[0])
        for x in range(0, TWO_MEGAPIXELS[1], tile[1])
    ]
    chunks = [[np.ascontiguousarray(image[place]) for place in places] for image in images]

    def encode_all() -> None:
        todo = [chunk for n in range(MANY) for chunk in chunks[n % len(chunks)]]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(encode, todo):
                pass

    def save_all() -> None:
        step = save(config)
        for n in range(MANY):
            step(Item(f"{n}", images[n % len(images)])).unwrap()

    save(config)(Item("first", images[0])).unwrap()
    codec, ours = seconds(encode_all, 1), seconds(save_all, 1)
    yield Row(
        "save 1,000 images of two megapixels to one Zarr / the codec alone",
        in_words(ours),
        in_words(codec),
        f"{ours / codec:.2f}x",
        "at most 1.20x + 2 ms an image",
        ours <= 1.2 * codec + 0.002 * MANY,
    )


def plate(folder: Path) -> Iterator[Row]:
    """Give the row of one field of a plate of 384 wells, read by a dispatcher of its own."""
    zarr = import_module("zarr")
    config = ZarrConfig(root=folder / "plate.zarr", layout=ZarrLayout.PLATE)
    field = camera((2, 256, 256))
    known = Metadata(axes=("c", "y", "x"))
    for well in WELLS:
        save(config)(Item(well, field, known)).unwrap()

    def ours() -> object:
        return Dispatcher(default_registry()).run(load(config), "P/24/0").unwrap()

    def theirs() -> object:
        return zarr.open_group(config.root, mode="r")["P/24/0/0"][...]

    pair = fastest(ours, theirs, Rounds(9))
    yield Row(
        "open a plate of 384 wells and read a field / zarr-python",
        in_words(pair[0]),
        in_words(pair[1]),
        f"{pair[0] * 1e3:.1f} ms",
        "at most 50 ms",
        pair[0] <= 0.05,
    )


def zarr_rows(folder: Path, how: Rounds) -> Iterator[Row]:
    """Give all rows of arrays in Zarr."""
    yield from large_arrays(folder / "zarr", how)
    yield from many_images(folder / "zarr")
    yield from plate(folder / "zarr")
    shutil.rmtree(folder / "zarr")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent, prefix=".run-") as name:
        for row in zarr_rows(Path(name), Rounds(int(sys.argv[1]) if sys.argv[1:] else 11)):
            print(row, flush=True)

"""Measure what compresses microscopy best, and print the page `docs/zarr-codecs.md`.

    python tests/benchmarks/zarr_codecs.py [--output docs/zarr-codecs.md]

Each codec encodes and decodes the same chunks, as the engine of the Zarr stores does it, checksum
included. The times are those of one core's work, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from textwrap import fill

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from polystore import (
    TIFF,
    Blosc,
    Compressor,
    DiskConfig,
    Gzip,
    HostArray,
    ZarrConfig,
    Zstd,
    load,
)
from polystore.backends.zarr.elements.plan import array_plan
from polystore.core.payload import ArraySpec, aligned_empty

ROUNDS = 7
REAL = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler"

CODECS: tuple[tuple[str, Compressor | None], ...] = (
    ("none", None),
    *(
        (f"Blosc {cname}, {shuffle}, level {level}", Blosc(cname, level, shuffle))
        for cname in ("zstd", "lz4")
        for shuffle in ("bitshuffle", "shuffle")
        for level in (1, 3, 5)
    ),
    ("Zstd level 1", Zstd(1)),
    ("Zstd level 3 (as zarr-python's default)", Zstd(3)),
    ("Gzip level 5", Gzip(5)),
)
"""What is compared. zarr-python's default is Zstandard's level 0, which means its level 3."""

DEFAULT = "Blosc zstd, bitshuffle, level 1"
LZ4 = "Blosc lz4, bitshuffle, level 1"
ZARR = "Zstd level 3 (as zarr-python's default)"


@frozen
class Images:
    """Chunks of one kind of image."""

    what: str
    chunks: list[HostArray]
    is_intensity: bool = True


@frozen
class Figures:
    """What a codec made of some images: how much smaller, and bytes of pixels a second."""

    ratio: float
    write: float
    read: float


def cells(seed: int) -> NDArray[np.float64]:
    """Give a field of 1024 x 1024: bright blobs on a dim, uneven background."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:1024, :1024]
    field = 60 + 30 * np.cos(rows / 400) * np.sin(columns / 300)
    for y, x, size, light in rng.uniform((0, 0, 8, 50), (1024, 1024, 25, 900), (60, 4)):
        field = field + light * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * size**2))
    return field


def made() -> Iterator[Images]:
    """Give images as cameras and programs make them."""
    rng = np.random.default_rng(0)
    fields = [cells(seed) for seed in range(4)]
    camera: list[HostArray] = [
        (100 + rng.poisson(field) + rng.normal(0, 2, field.shape)).astype(np.uint16)
        for field in fields
    ]
    yield Images("16-bit camera (made: photon and read noise)", camera)
    yield Images(
        "8-bit camera (made: the same, divided by 4)",
        [(each // 4).clip(0, 255).astype("u1") for each in camera],
    )
    labels: list[HostArray] = [
        ((field > 150) * (np.arange(1024) // 64 + 1)).astype(np.uint32) for field in fields
    ]
    yield Images("32-bit labels (made)", labels, is_intensity=False)
    yield Images(
        "32-bit floats (made: background removed)",
        [(each - 100).astype("f4") * np.float32(1 / 3) for each in camera],
    )


def real() -> Iterator[Images]:
    """Give the images of `shared/data`, where they are."""
    for what, folder in (("8-bit wells (real)", "vitra"), ("8-bit cells (real)", "human")):
        paths = sorted((REAL / folder).glob("*.tif"))
        disk = DiskConfig(root=REAL / folder)
        if paths:
            items = [load(disk, format=TIFF)(path.name).unwrap() for path in paths]
            yield Images(what, [np.ascontiguousarray(item.payload) for item in items])


def measured(images: Images, compressor: Compressor | None) -> Figures:
    encoded = written = 0
    writing = reading = 0.0
    for chunk in images.chunks:
        config = ZarrConfig(root="/", chunks=chunk.shape, shards=(), compressor=compressor)
        spec = ArraySpec(chunk.shape, chunk.dtype.name, (), chunk.shape)
        chain = array_plan(spec, chunk.dtype, config, {}).unwrap().meta.chain
        assert chain is not None
        content = b"".join(chain.encode(chunk))
        into = aligned_empty(chunk.shape, chunk.dtype)
        writing += fastest(partial(chain.encode, chunk))
        reading += fastest(partial(chain.decode, memoryview(content), into))
        assert into.tobytes() == chunk.tobytes()
        encoded += len(content)
        written += chunk.nbytes
    return Figures(written / encoded, written / writing, written / reading)


def fastest(action: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(ROUNDS):
        start = time.thread_time()
        action()
        times.append(time.thread_time() - start)
    return min(times)


def table(images: Images, figures: dict[str, Figures]) -> str:
    lines = [
        f"## {images.what}",
        "",
        "| codec | times smaller | writes MB/s | reads MB/s |",
        "|---|---|---|---|",
    ]
    for name, each in figures.items():
        shown = f"**{name}**" if name == DEFAULT else name
        lines.append(
            f"| {shown} | {each.ratio:.2f} | {each.write / 1e6:.0f} | {each.read / 1e6:.0f} |"
        )
    return "\n".join(lines)


def compared(all_figures: list[dict[str, Figures]], other: str) -> str:
    """Say in words what the default is against another codec, over kinds of images."""
    pairs = [(each[DEFAULT], each[other]) for each in all_figures]
    columns = (
        ("writes", [a.write / b.write for a, b in pairs]),
        ("reads", [a.read / b.read for a, b in pairs]),
        ("packs", [a.ratio / b.ratio for a, b in pairs]),
    )
    words = [f"{what} {min(of):.1f} to {max(of):.1f} times as" for what, of in columns]
    return f"{words[0]} fast, {words[1]} fast, and {words[2]} close"


PAGE = """# The codecs of Zarr arrays, measured

Made by `python tests/benchmarks/zarr_codecs.py --output docs/zarr-codecs.md`; not edited by hand.

The default of `ZarrConfig` is `Blosc()`: Zstandard at level 1, over bits that are shuffled
(bitshuffle) so that the high bits of neighbouring pixels, which hardly differ, lie together. It
was chosen for what most arrays here are: 16-bit images with a camera's noise, of which it is among
the closest packers, and the fastest of those.

{against_zarr}
{against_lz4}
- Higher levels make little of a camera's noise, which no codec can pack, and cost time on every
  write.
- Labels, and whatever else is flat, are packed closest and fastest without a shuffle: take `Zstd()`
  for a store of labels.
- `Gzip` is there for readers that know nothing else.

Each figure is of pixels over the time of one core, in millions of bytes a second: the fastest of
{rounds} rounds, over chunks of one plane each. A checksum (crc32c) is counted in, because every
chunk of ours has one.

{tables}

{machine}
"""


def bullet(text: str) -> str:
    return fill(text, 100, initial_indent="- ", subsequent_indent="  ")


def page() -> str:
    everything: list[tuple[Images, dict[str, Figures]]] = []
    for images in (*real(), *made()):
        figures = {name: measured(images, compressor) for name, compressor in CODECS}
        everything.append((images, figures))
        print(table(images, figures), flush=True)
    found = [figures for images, figures in everything if images.is_intensity]
    python = f"Python {platform.python_version()}"
    machine = f"{platform.system()}, {python}, numcodecs {version('numcodecs')}."
    return PAGE.format(
        against_zarr=bullet(
            "On the images below (labels left out), against Zstd at level 3, which is"
            f" zarr-python's default, it {compared(found, ZARR)}."
        ),
        against_lz4=bullet(
            f"Against Blosc's LZ4 with the same shuffle, it {compared(found, LZ4)}: where speed"
            ' counts for more than room, take `Blosc("lz4")`.'
        ),
        rounds=ROUNDS,
        tables="\n\n".join(table(*each) for each in everything),
        machine=machine,
    )


def main() -> None:
    """Measure, in a thread of its own: there, Blosc uses one core."""
    parser = argparse.ArgumentParser(description="Measure what compresses microscopy best.")
    parser.add_argument("--output", type=Path, help="write the page here")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(1) as alone:
        made_page = alone.submit(page).result()
    if arguments.output is not None:
        arguments.output.write_text(made_page)


if __name__ == "__main__":
    main()

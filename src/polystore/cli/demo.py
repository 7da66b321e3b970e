"""The demo: the main job over a folder of images, each read back, compared and pictured."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from attrs import evolve, frozen

from polystore.cli.places import Images, check_results, find_images, make_results
from polystore.cli.plate import make_plate
from polystore.cli.readback import read_back
from polystore.cli.sheet import contact_sheet, layout_for, thumbnail
from polystore.cli.terminal import progress, waiting
from polystore.configs import JPEG, DiskConfig, JpegOptions, ZarrConfig
from polystore.core.errors import Corrupt, MissingDependency, Unexpected
from polystore.core.item import Item
from polystore.core.outcome import Failure, Outcome, Success, and_then, fold, is_successful
from polystore.dispatch import handles
from polystore.files.path import write
from polystore.steps.compose import Pipeline, compose
from polystore.steps.convert import convert
from polystore.steps.load import load
from polystore.steps.save import save

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from polystore.cli.readback import ReadBack
    from polystore.core.errors import StorageError
    from polystore.core.item import Saved
    from polystore.core.key import KeyLike
    from polystore.core.payload import HostArray

__all__ = ["Job", "Result", "begin", "main_job", "row_of", "run"]

BUG = "Please report it as a bug, with the image."
SHEET = "contact-sheet.png"


@frozen
class Job:
    """What a demo is about to do: which images go where.

    `start_up` is the seconds that the libraries took; `made`, whether the images are our own plate.
    """

    images: Images
    store: ZarrConfig
    results: Path
    start_up: float
    made: bool


@frozen
class Row:
    """What became of one image.

    `equal` is `"yes"` or `"NO"` after a comparison, `"failed"` where it did not come to one.
    `seconds` is the time of the pipeline alone: load, convert and save. `problem` says why it is
    not `"yes"`; `dropped` names the metadata that Zarr did not keep.
    """

    number: int
    key: str
    seconds: float
    equal: Literal["yes", "NO", "failed"]
    shape: tuple[int, ...] | None = None
    dtype: str = "-"
    nbytes: int = 0
    problem: StorageError | None = None
    dropped: tuple[str, ...] = ()


@frozen
class Result:
    """What a demo did: a row per image, and the contact sheet or why there is none.

    `pictured` is how many images the sheet has, `crossed` whether some of them have no picture;
    `tracebacks` is a file of those of bugs, if any.
    """

    rows: tuple[Row, ...]
    sheet: Outcome[Saved]
    pictured: int
    crossed: bool
    tracebacks: Path | None = None

    @property
    def good(self) -> bool:
        """Whether every image arrived, equal in every bit, and the sheet is there."""
        return is_successful(self.sheet) and all(row.equal == "yes" for row in self.rows)


def main_job(disk: DiskConfig, store: ZarrConfig) -> Pipeline[KeyLike, Saved]:
    """Give the pipeline of the demo.

    >>> pipeline = main_job(DiskConfig(root="plate"), ZarrConfig(root="plate.zarr"))
    >>> [type(step).__name__ for step in pipeline.steps]
    ['Load', 'Convert', 'Save']
    """
    return compose(load(disk), convert(to="jax"), save(store))


def begin(folder: Path | None, output: Path | None) -> Outcome[Job]:
    """Give the job: whatever can be wrong before the first image is found out here.

    Makes the folder for the results and, if no folder is given, the plate in it. The errors are
    those of `find_images`, `check_results`, `make_results`, `make_plate`, and `MissingDependency`.
    """
    if folder is None:
        results = _results(None, output, {".npy", ".png", ".tif"})
        return and_then(results, _with_plate)

    def found(images: Images) -> Outcome[Job]:
        suffixes = {Path(key).suffix.lower() for key in images.keys}
        return _results(folder, output, suffixes).map(
            lambda it: Job(images, _store(it.path), it.path, it.start_up, made=False)
        )

    return and_then(find_images(folder), found)


@frozen
class _Results:
    path: Path
    start_up: float


def _results(folder: Path | None, output: Path | None, suffixes: set[str]) -> Outcome[_Results]:
    """Make the folder for the results, if nothing stands against it and no library is missing."""
    started = and_then(check_results(output, folder), lambda _: _start(suffixes))
    return and_then(
        started, lambda seconds: make_results(output).map(lambda path: _Results(path, seconds))
    )


def _with_plate(results: _Results) -> Outcome[Job]:
    disk = DiskConfig(root=results.path / "plate")
    store = _store(results.path)

    def job(plate: tuple[Saved, ...]) -> Job:
        images = Images(disk, tuple(saved.key for saved in plate))
        return Job(images, store, results.path, results.start_up, made=True)

    return make_plate(disk).map(job)


def _store(results: Path) -> ZarrConfig:
    return ZarrConfig(root=results / "plate.zarr")


def _start(suffixes: set[str]) -> Outcome[float]:
    """Import and start what the run uses, on a tiny image of each format; give the seconds taken.

    So a missing package is found before anything is made, and the first image's time is its own.
    """
    import numpy as np

    began = perf_counter()
    import_module("zarr")  # polystore saves without it; what arrived is read back with it
    image = np.zeros((8, 8), np.uint8)
    with waiting("Starting JAX and Zarr"), TemporaryDirectory() as folder, handles(), _quiet_jax():
        disk, store = DiskConfig(root=folder), ZarrConfig(root=Path(folder) / "a.zarr")
        for suffix in sorted(suffixes | {".png"}):  # the contact sheet is a PNG
            options = JpegOptions(quality=95) if suffix in JPEG.suffixes else None
            saved = save(disk, options=options)(Item(f"a{suffix}", image))
            moved = and_then(saved, lambda it: main_job(disk, store)(it.key))
            problem = moved.failure() if not is_successful(moved) else None
            if isinstance(problem, MissingDependency):
                return Failure(problem)
    return Success(perf_counter() - began)


@contextmanager
def _quiet_jax() -> Generator[None]:
    """Keep JAX from warning of a GPU that it was not built for: the report names the device."""
    logger = logging.getLogger("jax._src.xla_bridge")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def run(job: Job, stopping: Callable[[], bool]) -> Result:
    """Move and compare every image, one at a time, and picture what is in Zarr in the end.

    `stopping` is asked before each image; the result has no rows for those that were not begun.
    """
    keys = job.images.keys
    layout = layout_for(len(keys))
    rows: list[Row] = []
    tiles: list[HostArray | None] = []
    with progress(len(keys)) as advance:
        for number, key in enumerate(keys, 1):
            if stopping():
                break
            row, tile = _moved(job, number, key, layout.side)
            rows.append(row)
            if number <= layout.shown:
                tiles.append(tile)
            advance()
    sheet = write(job.results / SHEET, contact_sheet(tiles, layout))
    crossed = any(tile is None for tile in tiles)
    return Result(tuple(rows), sheet, layout.shown, crossed, _tracebacks(job.results, rows))


def _moved(job: Job, number: int, key: str, side: int) -> tuple[Row, HostArray | None]:
    """Move one image and compare it; give its row and thumbnail, and keep nothing else of it."""
    pipeline = main_job(job.images.disk, job.store)
    began = perf_counter()
    saved = pipeline(key)
    seconds = perf_counter() - began
    back = and_then(saved, lambda it: read_back(job.images.disk, job.store, it.key))
    row = row_of(number, key, seconds, back)
    dropped = saved.map(lambda it: it.dropped).value_or(())
    tile = fold(back, lambda it: thumbnail(it.image, side), _no_picture)
    return evolve(row, dropped=dropped), tile


def _tracebacks(results: Path, rows: Sequence[Row]) -> Path | None:
    """Write the tracebacks of bugs to a file, for the report of them; give it if there are any."""
    problems = [row.problem for row in rows if isinstance(row.problem, Unexpected)]
    if not problems:
        return None
    path = results / "tracebacks.txt"
    path.write_text("\n".join(f"{problem.key}\n{problem.traceback}" for problem in problems))
    return path


def _no_picture(_error: object) -> None:
    return None


def row_of(number: int, key: str, seconds: float, back: Outcome[ReadBack]) -> Row:
    """Give the row of the table for what came of an image.

    >>> import numpy as np
    >>> from polystore.cli.readback import ReadBack
    >>> row_of(1, "a.npy", 0.1, Success(ReadBack(np.zeros((2, 3)), ""))).equal
    'yes'
    >>> row_of(1, "a.npy", 0.1, Success(ReadBack(np.zeros(3), "the shape is (3,)"))).equal
    'NO'
    """

    def compared(it: ReadBack) -> Row:
        image = it.image
        row = Row(number, key, seconds, "yes", image.shape, image.dtype.name, image.nbytes)
        if not it.difference:
            return row
        message = f"In Zarr it is not what the file holds: {it.difference}."
        return evolve(row, equal="NO", problem=Corrupt(key, None, message, BUG))

    return fold(back, compared, lambda error: Row(number, key, seconds, "failed", problem=error))

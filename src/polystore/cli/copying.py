"""`polystore copy`: what is typed, and what is said of it."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Literal

from polystore.cli.exits import BAD, GOOD, INTERRUPTED, NOT_BEGUN, ended_by, remark, spoken
from polystore.cli.words import axes_named, first_numbers, whole_numbers
from polystore.core.outcome import is_successful

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polystore.cli.errand import Errand
    from polystore.core.errors import StorageError
    from polystore.core.item import Saved
    from polystore.core.outcome import Outcome

__all__ = ["HELP", "TEXT", "describe", "run"]

HELP = "copy an image, a folder, a store or a plate: TIFF to OME-Zarr, OME-Zarr to TIFF, and so on"

TEXT = """\
Copy what is at SRC to DST: an image (of any size, in little memory) or all images of a folder,
a Zarr store or a plate. What is stored in the same way on both sides is copied as it is.

  polystore copy stack.ome.tif image.zarr --layout image
  polystore copy tiffs/ plate.zarr --layout plate --names '{row}{column:02}_s{field}_w{channel}.tif'
  polystore copy tiffs/ images.zarr --layout image --if-exists skip
  polystore copy image.zarr image.ome.tif
  polystore copy plate.zarr tiffs/ --names '{row}{column:02}_s{field}_w{channel}.tif'
  polystore copy stack.npy image.zarr --layout image --axes t,z,y,x
  polystore copy image.zarr s3://bucket/image.zarr

Every item is whole or not there, also when the copy is stopped: run it again with
--if-exists skip, and it goes on with what is missing."""

STATUSES = """\
exit status: 0 if all is there, 1 if something could not be copied, 2 if the copy could not begin,
130 if Ctrl-C stopped it"""

SHOWN = 20  # errors that are said one by one

STOPPING = "Stopping: what is not whole will not be there. Ctrl-C again stops at once."
STOPPED = "Stopped. Every item that is there is whole; go on with --if-exists skip."


def describe(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.epilog = STATUSES
    parser.add_argument("source", metavar="SRC", help="a file, a folder, or anything in Zarr")
    parser.add_argument("target", metavar="DST", help="where to; *.zarr is Zarr")
    add = parser.add_argument
    add(
        "--layout",
        choices=("array", "image", "plate"),
        help="what each item becomes in Zarr: a plain array (the default), an OME-Zarr image with "
        "all its resolutions, or a field of an OME-Zarr plate",
    )
    add("--names", metavar="TEMPLATE", help="how the files of a plate are called, to read or write")
    add(
        "--first",
        metavar="N",
        type=first_numbers,
        default=1,
        help="what names count from: a number for all (the default is 1), or those that differ, as "
        "in field=0,channel=1",
    )
    add("--ome", choices=("0.4", "0.5"), help="the version of OME-Zarr to write")
    add(
        "--axes", type=axes_named, metavar="z,y,x", help="the axes of images, where they do not say"
    )
    add("--chunks", type=whole_numbers, metavar="1,512,512", help="what is compressed as one")
    add(
        "--if-exists",
        choices=("fail", "skip", "replace"),
        default="fail",
        help="what to do with an item that is there already",
    )
    add("--workers", metavar="N", type=int, help="how many items at once")


def run(arguments: argparse.Namespace) -> int:
    """Copy, and give the exit status."""
    from polystore.boundary import guarded
    from polystore.cli.errand import Wish, planned
    from polystore.cli.interrupt import asked_to_stop
    from polystore.dispatch import handles

    wish = Wish(
        layout=arguments.layout,
        names=arguments.names,
        first=arguments.first,
        version=arguments.ome,
        axes=arguments.axes or (),
        chunks=arguments.chunks,
        if_exists=arguments.if_exists,
    )
    with handles(), asked_to_stop(STOPPING) as stopping:
        made = guarded(lambda: planned(arguments.source, arguments.target, wish), "")
        if not is_successful(made):
            return ended_by("copy", made.failure(), NOT_BEGUN)
        return _done(made.unwrap(), arguments.workers, stopping)


def _done(errand: Errand, workers: int | None, stopping: Callable[[], bool]) -> int:
    from polystore.cli.carrying import carried

    saved: list[Saved] = []
    errors: list[StorageError] = []

    def note(outcome: Outcome[Saved]) -> None:
        if is_successful(outcome):
            saved.append(outcome.unwrap())
        else:
            errors.append(outcome.failure())

    carried(errand, workers, stopping, note)
    if stopping():
        _say(errand, saved, [])
        remark(STOPPED)
        return INTERRUPTED
    _say(errand, saved, errors)
    lacking = _lacking(errand)
    if lacking:
        remark(f"polystore copy: {lacking}")
    return BAD if errors or lacking else GOOD


def _lacking(errand: Errand) -> str:
    """Say which fields of the plate lack planes, where a folder was copied plane by plane."""
    from polystore.cli.planes import said_lacking
    from polystore.configs import ZarrConfig

    config = errand.target
    if not isinstance(config, ZarrConfig) or config.names is None or len(errand.pairs) == 1:
        return ""
    return said_lacking(config, config.names, (name for _, name in errand.pairs))


def _say(errand: Errand, saved: Sequence[Saved], errors: Sequence[StorageError]) -> None:
    from polystore.cli.escaping import printable
    from polystore.cli.places import counted

    for error in errors[:SHOWN]:
        remark(f"polystore copy: {spoken(error)}")
    if len(errors) > SHOWN:
        remark(f"and {len(errors) - SHOWN} errors more")
    counts = Counter[Literal["written", "skipped"]](it.status for it in saved)
    total = len(errand.pairs)
    nbytes = sum(it.nbytes for it in saved)
    parts = [f"{counts['written']} of {total} written ({nbytes:,} bytes)"]
    if counts["skipped"]:
        parts.append(f"{counts['skipped']} there already")
    if errors:
        parts.append(f"{len(errors)} failed")
    print(printable(f"{errand.title}: {', '.join(parts)}"))
    if errand.others:
        print(printable(f"not copied: {counted(errand.others)}"))
    for names, count in Counter(it.dropped for it in saved if it.dropped).items():
        what = "1 item" if count == 1 else f"{count} items"
        print(printable(f"metadata that could not be kept, of {what}: {', '.join(names)}"))

"""`polystore preview`: a small picture of what is at a path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.cli.escaping import printable
from polystore.cli.exits import BAD, GOOD, NOT_BEGUN, ended_by
from polystore.core.outcome import is_successful

if TYPE_CHECKING:
    import argparse

__all__ = ["HELP", "TEXT", "describe", "run"]

HELP = "draw a small picture of an image, of those of a folder or a store, or of a plate's wells"

TEXT = """\
Draw a small picture, as PNG: of an OME-Zarr image out of the smallest resolution that is large
enough, in the colours that its metadata says; of others in gray, from black at the 0.5th to white
at the 99.8th percentile. z is in the middle, time at its beginning. Of a folder or a store it is a
sheet of all images, of a plate one of the first field of each well, numbered row by row; which
number is which image is said.

  polystore preview image.zarr image.png
  polystore preview plate.zarr plate.png --size 2048
  polystore preview stack.ome.tif stack.png --if-exists replace"""

STATUSES = """\
exit status: 0, 1 if the picture could not be saved, 2 if there is nothing of which there is one"""

SIZE = 1024  # pixels


def describe(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.epilog = STATUSES
    parser.add_argument("path", metavar="PATH", help="a file, a folder, or anything in Zarr")
    parser.add_argument("picture", metavar="OUT.png", help="the picture to be made")
    parser.add_argument(
        "--size", metavar="N", type=int, default=SIZE, help="pixels of the longer side, at most"
    )
    parser.add_argument("--if-exists", choices=("fail", "replace"), default="fail")


def run(arguments: argparse.Namespace) -> int:
    """Draw the picture, and give the exit status."""
    from polystore.boundary import guarded
    from polystore.cli.picture import pictured
    from polystore.core.errors import UnsupportedOperation
    from polystore.dispatch import handles
    from polystore.files.path import write

    if not str(arguments.picture).lower().endswith(".png") or arguments.size < 1:
        message = f"{arguments.picture!r} is no picture of at least one pixel, as PNG."
        error = UnsupportedOperation("", None, message, "Write: polystore preview PATH out.png.")
        return ended_by("preview", error, NOT_BEGUN)
    with handles():
        picture = guarded(lambda: pictured(arguments.path, arguments.size), "")
        if not is_successful(picture):
            return ended_by("preview", picture.failure(), NOT_BEGUN)
        drawn = picture.unwrap()
        saved = write(arguments.picture, drawn.pixels, if_exists=arguments.if_exists)
        if not is_successful(saved):
            return ended_by("preview", saved.failure(), BAD)
    size = f"{drawn.pixels.shape[1]} x {drawn.pixels.shape[0]}"
    print(printable(f"{arguments.picture}: {size} pixels, {drawn.title}"))
    for row in drawn.legend:
        print(printable("  " + "  ".join(f"{number} {key}" for number, key in row)))
    return GOOD

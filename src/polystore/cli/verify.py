"""`polystore verify`: whether two things hold the same elements, bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.cli.escaping import printable
from polystore.cli.exits import BAD, GOOD, INTERRUPTED, NOT_BEGUN, ended_by, remark
from polystore.core.outcome import is_successful

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from polystore.cli.comparing import Pairing

__all__ = ["HELP", "TEXT", "describe", "run"]

HELP = "compare two images, folders, stores or plates, bit by bit"

TEXT = """\
Say whether A and B hold the same: shape, dtype and every bit of every element, read block by
block in little memory. Folders, stores and plates are compared item by item, by their keys (a
suffix such as .tif may be missing on one side). Metadata that differs is said, and counts as equal.

  polystore verify stack.ome.tif image.zarr
  polystore verify tiffs/ images.zarr
  polystore verify tiffs/ plate.zarr --names '{row}{column:02}_s{field}_w{channel}.tif'"""

STATUSES = """\
exit status: 0 if they are equal, 1 if something differs or is missing, 2 if they could not be
compared, 130 if Ctrl-C stopped it"""

SHOWN = 20  # differences that are said one by one

STOPPING = "Stopping after this block. Ctrl-C again stops at once."


def describe(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.epilog = STATUSES
    parser.add_argument("one", metavar="A", help="a file, a folder, or anything in Zarr")
    parser.add_argument("other", metavar="B", help="what it is compared with")
    parser.add_argument("--names", metavar="TEMPLATE", help="how the files of the plate are called")
    parser.add_argument("--first", metavar="N", type=int, default=1, help="as in polystore copy")


def run(arguments: argparse.Namespace) -> int:
    """Compare, say what differs, and give the exit status."""
    from polystore.boundary import guarded
    from polystore.cli.comparing import paired
    from polystore.cli.interrupt import asked_to_stop
    from polystore.configs import PlateNames
    from polystore.dispatch import handles

    names = None if arguments.names is None else PlateNames(arguments.names, arguments.first)
    with handles(), asked_to_stop(STOPPING) as stopping:
        found = guarded(lambda: paired(arguments.one, arguments.other, names), "")
        if not is_successful(found):
            return ended_by("verify", found.failure(), NOT_BEGUN)
        return _compared(found.unwrap(), (arguments.one, arguments.other), stopping)


def _compared(pairing: Pairing, paths: tuple[str, str], stopping: Callable[[], bool]) -> int:
    from polystore.cli.bar import bar
    from polystore.cli.comparing import compared

    wrong = list(pairing.missing)
    remarks: list[str] = []
    errors = 0
    total = len(pairing.pairs)
    with bar("comparing", total * 1000) as advance:
        for pair in pairing.pairs:
            outcome = compared(pairing, pair, stopping, advance)
            if stopping():
                remark("Stopped.")
                return INTERRUPTED
            if not is_successful(outcome):
                errors += 1
                wrong.append(f"{pair[0]}: {outcome.failure()}")
                continue
            wrong += [f"{pair[0]}: {outcome.unwrap().difference}"] * bool(
                outcome.unwrap().difference
            )
            remarks += [f"{pair[0]}: {text}" for text in outcome.unwrap().remarks]
    for text in wrong[:SHOWN]:
        print(printable(text))
    for text in remarks[:SHOWN]:
        print(printable(f"metadata of {text}"))
    hidden = len(wrong[SHOWN:]) + len(remarks[SHOWN:])
    if hidden:
        print(f"and {hidden} more")
    return _verdict(len(wrong), total, paths)


def _verdict(wrong: int, total: int, paths: tuple[str, str]) -> int:
    one, other = paths
    if wrong:
        print(printable(f"{one} and {other} differ."))
        return BAD
    items = "" if total == 1 else f" ({total} items)"
    print(printable(f"{one} and {other} are equal, bit for bit{items}."))
    return GOOD

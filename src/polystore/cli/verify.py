"""`polystore verify`: whether two things hold the same elements, bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polystore.cli.escaping import printable
from polystore.cli.exits import BAD, GOOD, INTERRUPTED, NOT_BEGUN, ended_by, remark
from polystore.cli.words import first_numbers
from polystore.core.outcome import is_successful

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from polystore.cli.comparing import Pairing

__all__ = ["HELP", "TEXT", "describe", "run"]

HELP = "compare two images, folders, stores or plates, bit by bit"

TEXT = """\
Say whether A and B hold the same: shape, dtype and every bit of every element, read block by
block in little memory. Folders, stores and plates are compared item by item, by their keys (a
suffix such as .tif may be missing on one side), and images with their labels. Metadata that differs
is said, and counts as equal.

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
    parser.add_argument(
        "--first", metavar="N", type=first_numbers, default=1, help="as in polystore copy"
    )


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
    remarks: dict[str, list[str]] = {}
    with bar("comparing", len(pairing.pairs) * 1000) as advance:
        for pair in pairing.pairs:
            outcome = compared(pairing, pair, stopping, advance)
            if stopping():
                remark("Stopped.")
                return INTERRUPTED
            if not is_successful(outcome):
                wrong.append(f"{pair[0]}: {outcome.failure()}")
                continue
            found = outcome.unwrap()
            if found.difference:
                wrong.append(f"{pair[0]}: {found.difference}")
            for name, text in found.remarks:
                remarks.setdefault(name, []).append(f"{pair[0]}: {text}")
    _say(wrong, remarks, pairing.others)
    return _verdict(len(wrong), len(pairing.pairs), paths)


def _say(wrong: Sequence[str], remarks: Mapping[str, Sequence[str]], others: Sequence[str]) -> None:
    from polystore.cli.places import counted

    for text in wrong[:SHOWN]:
        print(printable(text))
    if len(wrong) > SHOWN:
        print(f"and {len(wrong) - SHOWN} more")
    for name, texts in remarks.items():
        items = "1 item" if len(texts) == 1 else f"{len(texts)} items"
        print(printable(f"metadata: {name} differs in {items} ({texts[0]})"))
    if others:
        print(printable(f"not compared: {counted(others)}"))


def _verdict(wrong: int, total: int, paths: tuple[str, str]) -> int:
    one, other = paths
    if wrong:
        print(printable(f"{one} and {other} differ."))
        return BAD
    items = "" if total == 1 else f" ({total} items)"
    print(printable(f"{one} and {other} are equal, bit for bit{items}."))
    return GOOD

"""Measure polystore against the libraries underneath, and print the table of `docs/benchmarks.md`.

    python tests/benchmarks/run.py [--output docs/benchmarks.md] [--quick]

Each row is a ratio within one run: the two sides take turns, each writes to a file that is new for
it, and the fastest of the rounds counts. The first rows are a library against itself: what the
machine's noise alone makes of a ratio.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from array_rows import large_files, small_files
from file_rows import file_rows
from format_rows import ROUNDS, format_rows
from image_rows import image_rows
from measuring import Rounds, Row
from memory_rows import memory_rows
from process_rows import imports, shared
from zarr_rows import zarr_rows

HERE = Path(__file__).parent
PACKAGES = (
    "numpy",
    "tifffile",
    "imagecodecs",
    "zarr",
    "numcodecs",
    "zarrs",
    "tensorstore",
    "ngff-zarr",
    "torch",
    "jax",
    "tensorflow",
    "safetensors",
)


def table(rows: list[Row]) -> str:
    lines = [
        "| what | polystore | library | result | bound | met |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        met = "yes" if row.met else "**no**"
        met = met if row.bound.startswith(("at most", "shared")) else ""
        lines.append(
            f"| {row.what} | {row.ours} | {row.theirs} | {row.result} | {row.bound} | {met} |"
        )
    return "\n".join(lines)


PAGE = """# Benchmarks

Made by `python tests/benchmarks/run.py --output docs/benchmarks.md`; not edited by hand.

Each row compares with the library underneath, in one run: the sides take turns, each writes to
files that are new for it, the fastest of {rounds} rounds or more counts. "Against itself" is what
noise alone makes of a ratio. Files were in the page cache.

{table}

{machine}
"""


def machine() -> str:
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = f"Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {platform.system()}, {python}, {packages}."


def main() -> int:
    """Run everything; give 1 if a bound was missed."""
    parser = argparse.ArgumentParser(
        description="Measure polystore against the libraries underneath."
    )
    parser.add_argument("--output", type=Path, help="write the page here")
    parser.add_argument("--quick", action="store_true", help="three rounds only: to try the script")
    parser.add_argument("--folder", type=Path, default=HERE, help="the file system to measure on")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 11
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix=".run-") as name:
        folder = Path(name)
        for side in ("ours", "theirs"):
            (folder / side).mkdir()
        for group in (
            large_files(folder, Rounds(rounds)),
            small_files(folder, Rounds(5 * rounds, 100)),
            format_rows(folder, Rounds(rounds)),
            file_rows(folder, Rounds(rounds)),
            zarr_rows(folder, Rounds(rounds)),
            image_rows(folder, Rounds(rounds)),
            shared(folder, Rounds(rounds)),
            memory_rows(folder),
            imports(Rounds(rounds)),
        ):
            for row in group:
                rows.append(row)
                print(
                    f"{row.what}: {row.ours} / {row.theirs}: {row.result} ({row.bound})", flush=True
                )
    page = PAGE.format(rounds=min(rounds, ROUNDS), table=table(rows), machine=machine())
    print(page)
    if arguments.output is not None:
        arguments.output.write_text(page)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

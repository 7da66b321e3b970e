"""A table as CSV, against Python's own csv module and against pandas."""

from __future__ import annotations

import csv
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from format_cases import Case

from polystore import Table

__all__ = ["with_csv", "with_pandas"]

ROWS = 200_000


def table() -> Table:
    """Give cells as one measures them: a label, an area, a mean, a well."""
    rng = np.random.default_rng(0)
    wells = np.array([f"{row}{column:02}" for row in "ABCDEFGH" for column in range(1, 13)])
    return Table(
        {
            "label": np.arange(ROWS),
            "area": rng.integers(50, 900, ROWS),
            "mean": rng.random(ROWS),
            "well": rng.choice(wells, ROWS),
        }
    )


def with_csv() -> Case:
    """Python's csv module, and numbers made of its cells as one has to do there oneself."""
    cells = table()

    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(cells.columns)
            writer.writerows(zip(*(it.tolist() for it in cells.columns.values()), strict=True))

    def read(path: Path) -> object:
        with path.open(newline="") as file:
            reader = csv.reader(file)
            names = next(reader)
            columns = zip(*reader, strict=True)
            kinds = (int, int, float, str)
            pairs = zip(names, kinds, columns, strict=True)
            return {name: np.array(list(map(kind, column))) for name, kind, column in pairs}

    return case("csv", cells, write, read, 1.10)


def with_pandas() -> Case:
    """What pandas takes, for the record: its parser is a program in C."""
    pandas = import_module("pandas")
    cells = table()
    frame = pandas.DataFrame(dict(cells.columns))

    def write(path: Path) -> object:
        return frame.to_csv(path, index=False)

    def read(path: Path) -> object:
        return pandas.read_csv(path)

    return case("pandas", cells, write, read, None)


def case(
    library: str,
    cells: Table,
    write: Callable[[Path], object],
    read: Callable[[Path], object],
    bound: float | None,
) -> Case:
    return Case(
        "csv",
        "CSV",
        ".csv",
        "200 000 rows of",
        cells,
        library,
        write,
        library,
        read,
        bound=bound,
    )

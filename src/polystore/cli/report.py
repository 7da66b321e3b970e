"""What a demo says on standard output: the plan, a table of the images, and what came of them.

Names of files are shown as they are, but for characters that a terminal would act on. What goes to
a pipe or a file is not cut to a width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from polystore.cli.escaping import printable
from polystore.cli.places import counted, shown
from polystore.cli.terminal import console
from polystore.core.errors import Lossy
from polystore.core.outcome import is_successful
from polystore.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polystore.cli.demo import Job, Result, Row

__all__ = ["print_plan", "print_result"]

WIDEST = 100_000  # columns of a table in a pipe: no key is as long
X64 = "With JAX_ENABLE_X64=1 in the environment, JAX holds 64-bit numbers in the demo too."
STYLES = {"yes": "green", "NO": "bold red", "failed": "bold red"}


def print_plan(job: Job) -> None:
    """Print what is about to be done, before it is."""
    import jax
    import numpy as np
    import zarr

    libraries = f"jax {jax.__version__} on {jax.default_backend()}, zarr {zarr.__version__}"
    made = ", made for this run" if job.made else ""
    lines = [
        ("disk:", f"{shown(job.images.disk.root)} ({_images(len(job.images.keys))}{made})"),
        ("zarr:", shown(job.store.root)),
        ("start-up:", f"{job.start_up:.1f} s ({libraries}, numpy {np.__version__})"),
    ]
    if job.images.others:
        lines.append(("not read:", counted(job.images.others)))
    head = Text.assemble((f"polystore {__version__}", "bold"), " demo: ")
    head.append('compose(load(disk), convert(to="jax"), save(zarr))', "cyan")
    console().print(head, soft_wrap=True)
    _print_lines(lines)


def print_result(job: Job, result: Result) -> None:
    """Print the table, what went wrong, and where things are now."""
    console().print()
    _print_table(result.rows)
    console().print()
    equal, total = sum(row.equal == "yes" for row in result.rows), len(result.rows)
    verdict = f"{equal} of {total} images are equal" if equal < total else f"{_all(total)} equal"
    style = "bold green" if equal == total else "bold red"
    text = Text.assemble((verdict, style), " in Zarr, bit for bit, as zarr-python reads them back.")
    console().print(text, soft_wrap=True)
    _print_problems(result.rows)
    if any(isinstance(row.problem, Lossy) for row in result.rows):
        console().print(f"\n{X64}", soft_wrap=True)
    _print_dropped(result.rows)
    console().print()
    _print_places(job, result)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _all(count: int) -> str:
    return "The image is" if count == 1 else f"All {count} images are"


def _print_lines(lines: Sequence[tuple[str, str]]) -> None:
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        line = Text.assemble((label.ljust(width), "bold"), " ", printable(text))
        console().print(line, soft_wrap=True)


def _print_table(rows: Sequence[Row]) -> None:
    out = console()
    table = Table(
        box=None, show_footer=True, footer_style="dim", pad_edge=False, header_style="bold"
    )
    nbytes, seconds = sum(row.nbytes for row in rows), sum(row.seconds for row in rows)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("key", "in all", overflow="fold")
    table.add_column("shape", no_wrap=True)
    table.add_column("dtype", no_wrap=True)
    table.add_column("bytes", f"{nbytes:,}", justify="right", no_wrap=True)
    table.add_column("time", _duration(seconds), justify="right", no_wrap=True)
    table.add_column("equal?", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    if not out.is_terminal:
        out.width = WIDEST
        out.width = out.measure(table).maximum
    out.print(table)


def _cells(row: Row) -> Iterator[Text]:
    yield Text(str(row.number))
    yield Text(printable(row.key))
    yield Text("-" if row.shape is None else " x ".join(map(str, row.shape)) or "scalar")
    yield Text(row.dtype)
    yield Text("-" if row.shape is None else f"{row.nbytes:,}")
    yield Text(_duration(row.seconds))
    yield Text(row.equal, STYLES[row.equal])


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def _print_problems(rows: Sequence[Row]) -> None:
    """Print each problem once, below the images that have it."""
    having: dict[str, list[Row]] = {}
    for row in rows:
        if row.problem is not None:
            having.setdefault(str(row.problem), []).append(row)
    for problem, found in having.items():
        console().print()
        for row in found:
            name = Text(f"#{row.number} {printable(row.key)}", "bold red")
            console().print(name, soft_wrap=True)
        console().print(Text(f"   {printable(problem)}"), soft_wrap=True)


def _print_dropped(rows: Sequence[Row]) -> None:
    dropped = sorted({name for row in rows for name in row.dropped})
    if dropped:
        count = sum(bool(row.dropped) for row in rows)
        text = f"Metadata of {_images(count)} that Zarr did not keep: {', '.join(dropped)}."
        console().print(text, soft_wrap=True)


def _print_places(job: Job, result: Result) -> None:
    lines = [("zarr:", shown(job.store.root))]
    arrived = [row.key for row in result.rows if row.shape is not None]
    if arrived:
        opened = f"zarr.open_group({shown(job.store.root)!r})[{arrived[0]!r}][...]"
        lines.append(("in Python:", opened))
    if is_successful(result.sheet):
        first = f"the first {result.pictured}, " if result.pictured < len(result.rows) else ""
        crossed = ", crossed where there is no picture" if result.crossed else ""
        path = shown(job.results / result.sheet.unwrap().key)
        text = f"{path} ({first}numbered as above{crossed})"
    else:
        text = f"none. {result.sheet.failure()}"
    lines.append(("contact sheet:", text))
    if result.tracebacks is not None:
        lines.append(("tracebacks:", shown(result.tracebacks)))
    _print_lines(lines)

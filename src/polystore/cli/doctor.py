"""The doctor: what is registered here, what can be imported, and what to install for the rest.

It needs the core alone. A package that is there is imported in a process of its own: only that
shows whether it works, and one that crashes takes nothing with it.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.builtin import EXTRAS
from polystore.cli.escaping import printable
from polystore.core.version import __version__
from polystore.discover import GROUPS, default_registry

if TYPE_CHECKING:
    from polystore.core.registry import Entries

__all__ = ["CORE", "Diagnosis", "Package", "Plugin", "diagnosed", "examined", "lines"]

CORE = ("attrs", "cattrs", "numpy", "portalocker", "returns", "typing_extensions")
"""The packages that polystore cannot do without, by the names that they are imported by."""

PATIENCE_S = 120.0
"""Seconds that one package may take to be imported; a cold TensorFlow takes ten."""

TRIAL = """\
import importlib, importlib.metadata, sys
name, *sys.path = sys.argv[1:]
module = importlib.import_module(name)
try:
    version = importlib.metadata.version(name)
except importlib.metadata.PackageNotFoundError:
    version = getattr(module, "__version__", "of an unknown version")
print("", version, sep="\\n")
"""


@frozen
class Package:
    """A package: the version that was imported, or the problem; `extra` is `""` for the core's."""

    name: str
    extra: str
    version: str = ""
    problem: str = ""


@frozen
class Plugin:
    """An entry point of an installed package: its group, name and value, and the package."""

    group: str
    name: str
    value: str
    package: str


@frozen
class Diagnosis:
    """What is registered, what brought it, and which packages there are."""

    entries: Entries
    plugins: tuple[Plugin, ...]
    packages: tuple[Package, ...]

    @property
    def good(self) -> bool:
        """Whether every plugin works; a package that is missing or broken is no fault of ours."""
        return not self.entries.errors


def diagnosed() -> Diagnosis:
    """Look at the default registry, the plugins, and every package of the core and the extras."""
    extras = dict.fromkeys(CORE, "") | dict(sorted(EXTRAS.items()))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # each waits for a process
        packages = tuple(pool.map(examined, extras, extras.values()))
    plugins = tuple(
        Plugin(group, it.name, it.value, f"{it.dist.name} {it.dist.version}" if it.dist else "")
        for group in GROUPS
        for it in entry_points(group=group)
    )
    return Diagnosis(default_registry().entries(), plugins, packages)


def examined(name: str, extra: str, patience_s: float = PATIENCE_S) -> Package:
    """Import a package in a process of its own, with this one's path.

    >>> examined("polystore_of_nowhere", "nowhere")
    Package(name='polystore_of_nowhere', extra='nowhere', version='', problem='not installed')
    >>> examined("attrs", "").problem
    ''
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # a folder that is called so is no package
        return Package(name, extra, problem="not installed")
    command = [sys.executable, "-P", "-c", TRIAL, name, *sys.path]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, and names of our own
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Package(name, extra, problem=f"not imported within {patience_s:g} s")
    if done.returncode < 0:
        return Package(name, extra, problem=f"killed by {_signal_name(-done.returncode)}")
    if done.returncode > 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Package(name, extra, problem=f"broken: {reason}")
    return Package(name, extra, version=(done.stdout.splitlines() or [""])[-1])


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def lines(found: Diagnosis) -> Iterator[str]:
    """Give the report, line by line."""
    yield f"polystore {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield f"in {printable(str(Path(__file__).parents[1]))}, run by {printable(sys.executable)}"
    entries = found.entries
    yield from _section("stores", ((it.name, it.key.__name__) for it in entries.stores))
    yield from _section("formats", ((it.name, " ".join(it.key.suffixes)) for it in entries.formats))
    yield from _section("frameworks", ((it.name,) for it in entries.frameworks))
    plugins = ((it.name, it.value, it.group, it.package) for it in found.plugins)
    yield from _section("plugins", plugins)
    yield from ("  FAILED " + printable(str(error)) for error in entries.errors)
    yield from _section("packages", map(_package_row, found.packages))


def _package_row(package: Package) -> tuple[str, ...]:
    target = f"polystore[{package.extra}]" if package.extra else "--force-reinstall polystore"
    if not package.problem:
        return package.name, package.version
    quoted = f"'{target}'" if package.extra else target
    return package.name, package.problem, f"pip install {quoted}"


def _section(title: str, rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Give a title and rows whose columns stand below each other; the last one is not padded."""
    shown = [[printable(cell) for cell in row] for row in rows] or [["none"]]
    yield ""
    yield title
    widths = [
        max(len(row[column]) for row in shown if column < len(row))
        for column in range(max(map(len, shown)))
    ]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield f"  {'  '.join(cells)}".rstrip()

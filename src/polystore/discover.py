"""What is registered: our own records, and those that installed packages bring by entry points.

A package brings one by naming it in a group, as in

    [project.entry-points."polystore.backends"]
    mystore = "mypackage.store:MYSTORE"

The groups are `polystore.backends`, `polystore.bytestores`, `polystore.formats` and
`polystore.frameworks`. Packages are looked at when something is not found among our own, never at
import.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, cast

from polystore.builtin import BUILTIN
from polystore.core.errors import PluginFailed
from polystore.core.outcome import unwrap_or_raise
from polystore.core.records import Backend, ByteStore, Codec, Framework
from polystore.core.registry import Entries, Registry, entries_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from polystore.core.registry import Record

__all__ = ["GROUPS", "default_registry", "installed_plugins"]

GROUPS: dict[str, type[object]] = {
    "polystore.backends": Backend,
    "polystore.bytestores": ByteStore,
    "polystore.formats": Codec,
    "polystore.frameworks": Framework,
}
"""The entry-point groups, and the record that each holds."""


@cache
def installed_plugins() -> Entries:
    """Give the records of installed packages, and an error for each that could not be loaded.

    Imports the plugins, once in the life of the process.

    >>> installed_plugins().errors
    ()
    """
    from importlib.metadata import entry_points  # 20 ms that most processes never need

    found = Entries()
    for group, kind in GROUPS.items():
        for point in entry_points(group=group):
            found += _plugin(point, kind)
    return found


def _plugin(point: EntryPoint, kind: type[object]) -> Entries:
    try:
        record: object = point.load()
    except Exception as exception:  # a plugin's import may raise anything; the others still work
        return _failed(point, f"{type(exception).__name__}: {exception}")
    if not isinstance(record, kind):
        return _failed(point, f"it is a {type(record).__name__}, not a {kind.__name__}")
    return entries_of([cast("Record", record)])


def _failed(point: EntryPoint, reason: str) -> Entries:
    error = PluginFailed(
        "",
        None,
        f"The plugin {point.name!r} ({point.value}) failed: {reason}.",
        "Update or remove the package that brings it; all else works without it.",
    )
    return Entries(errors=(error,))


@cache
def default_registry() -> Registry:
    """Give the registry of our own records and the installed plugins.

    >>> from polystore import DiskConfig
    >>> default_registry().find_store(DiskConfig(root="plate")).map(lambda record: record.name)
    <Success: disk>
    """
    return unwrap_or_raise(Registry.from_entries(BUILTIN, installed_plugins))

"""Where code finds a record and the maker of its configs: what a reproduction has to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import cast

from attrs import fields, frozen

from polystore.core.registry import Record

__all__ = ["Home", "home_of"]

_OF_SCRIPT = "  # of the script that was run: put these lines at its end"
"""What is said of an import that works in the script only."""


@frozen
class Home:
    """The names of a record and a maker, and the lines that import them.

    What has no name in any module is called `record` or `make`, and a comment says so.
    """

    record: str
    make: str
    imports: tuple[str, ...]


def home_of(record: Record, make: Callable[[], object]) -> Home:
    """Give the names under which the modules of the maker and of the record hold the two.

    >>> from polystore.backends.disk import DISK
    >>> from polystore.testing.law import no_config
    >>> home_of(DISK, no_config).imports[0]
    'from polystore.backends.disk import DISK'
    """
    modules = tuple(_modules(record, make))
    record_name, record_line = _name_of(record, modules, "record", "the record")
    make_name, make_line = _name_of(make, modules, "make", "the maker of its configs")
    return Home(record_name, make_name, (record_line, make_line))


def _name_of(
    value: object, modules: tuple[ModuleType, ...], placeholder: str, words: str
) -> tuple[str, str]:
    """Give the name of a value in the first module that has it, and the line that imports it."""
    for module in modules:
        held_by: dict[str, object] = getattr(module, "__dict__", {})  # not all are modules
        for name, held in tuple(held_by.items()):
            if held is value and not name.startswith("_"):
                line = f"from {module.__name__} import {name}"
                of_script = module.__name__ == "__main__"
                return name, f"{line}{_OF_SCRIPT}" if of_script else line
    return placeholder, f"# {placeholder}: {words}, which has no name in a module"


def _modules(record: Record, make: object) -> Iterator[ModuleType]:
    """Give the modules that may name the two: the maker's, the functions', then every other.

    The script that was run comes last: nobody else can import from it.
    """
    names = (each.name for each in fields(type(record)))
    makers = (make, *(cast("object", getattr(record, name)) for name in names))
    seen = {"__main__"}
    for maker in makers:
        name: object = getattr(maker, "__module__", None)
        if isinstance(name, str) and name not in seen and name in sys.modules:
            seen.add(name)
            yield sys.modules[name]
    # A record's functions may all be of other modules: partial ones, or those of another record.
    yield from (it for name, it in tuple(sys.modules.items()) if name != "__main__")
    yield sys.modules["__main__"]

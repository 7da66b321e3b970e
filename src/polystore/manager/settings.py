"""Stores by name, read from a TOML or JSON file, or from environment variables.

A store is its name, the word for its kind, and the fields of its config, as in a spec:

    [stores.raw.disk]
    root = "plate"

    {"stores": {"raw": {"disk": {"root": "plate"}}}}

    POLYSTORE__RAW__DISK__ROOT=plate
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable
from errno import ENXIO
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, cast

from polystore.backends.oserrors import from_os
from polystore.boundary import guarded
from polystore.core.errors import (
    InvalidKey,
    InvalidSpec,
    NotAFile,
    NotFound,
    StorageError,
    TooLarge,
    UnknownFormat,
)
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.records import Limits, Source, readable_of
from polystore.formats.json import JSON_CODEC

if TYPE_CHECKING:
    from cattrs import Converter

    from polystore.core.registry import Registry
    from polystore.manager.named import AnyStore

__all__ = ["invalid", "parsed_json", "read_store", "stores_in_file"]

Table: TypeAlias = dict[str, object]

MAX_BYTES = 2**18
"""The largest settings file that is read."""

DEPTH_MAX = 32
"""Levels of tables and lists: each takes the reader some levels of Python's stack of 1000."""

DOTS_MAX = 100
"""Dots in one line of TOML: the parser's time for a key grows with their square."""

REASON_MAX = 300
"""Characters of a reason: it may quote what is in the file."""

ADVICE = "See 'Configs in files' in polystore's guide for what can stand there."


def stores_in_file(
    path: str | os.PathLike[str], registry: Registry
) -> Outcome[dict[str, AnyStore]]:
    """Give the stores that a `.toml` or `.json` file names, by name.

    `InvalidSpec` says in `where` which part is wrong (`stores.raw.disk.root`). What cannot be read
    is `NotFound`, `NotAFile`, `PermissionDenied` or `TooLarge` (over 256 KiB), and a file of
    another suffix `UnknownFormat`. A relative root is taken from the current folder.

    >>> import tempfile, pathlib
    >>> from polystore import default_registry
    >>> path = pathlib.Path(tempfile.mkdtemp(), "stores.json")
    >>> _ = path.write_text('{"stores": {"scratch": {"memory": {"name": 3}}}}')
    >>> stores_in_file(path, default_registry()).failure().where
    'stores.scratch.memory.name'
    """

    def stores(name: str) -> Outcome[dict[str, AnyStore]]:
        content = and_then(_parser_of(name), lambda parse: and_then(_content(name), parse))
        found = and_then(content, lambda value: _stores(value, registry))
        return found.alt(lambda error: _in_file(name, error))

    return guarded(lambda: and_then(_path_text(path), stores), str(path))


def _path_text(path: object) -> Outcome[str]:
    known = isinstance(path, (str, os.PathLike))
    text: object = os.fspath(cast("str", path)) if known else None
    if isinstance(text, str) and "\0" not in text:
        return Success(text)
    advice = "Give the path of a .toml or .json file, as a text or a Path."
    return Failure(InvalidKey(f"{path!r:.{REASON_MAX}}", None, "This is no path.", advice))


def _in_file(name: str, error: StorageError) -> StorageError:
    """Begin what is said of the content with the name of the file."""
    if not isinstance(error, InvalidSpec):
        return error
    return InvalidSpec("", None, f"{name}: {error.message}", error.advice, error.where)


def _parser_of(name: str) -> Outcome[Callable[[bytes], Outcome[object]]]:
    parser = {".toml": _parsed_toml, ".json": parsed_json}.get(PurePath(name).suffix.lower())
    if parser is not None:
        return Success(parser)
    message = f"{name!r} is neither a .toml nor a .json file."
    return Failure(UnknownFormat(name, None, message, "Write the stores as one, named so."))


def _content(name: str) -> Outcome[bytes]:
    """Give what is in a regular file: a pipe may never end, nor may a device."""

    def content() -> bytes:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(ENXIO, os.strerror(ENXIO))
            return file.read(MAX_BYTES + 1)

    def unread(error: OSError) -> StorageError:
        found = from_os(error, name, None)
        advice = "Give the path of a file; a relative one is taken from the current folder."
        if isinstance(found, (NotFound, NotAFile)):
            return type(found)(found.key, None, found.message, advice)
        return found

    def within(found: bytes) -> Outcome[bytes]:
        if len(found) <= MAX_BYTES:
            return Success(found)
        message = f"{name!r} is larger than the {MAX_BYTES} bytes that settings may take."
        return Failure(TooLarge(name, None, message, "Check that it is the file meant."))

    return and_then(guard(content, catch(OSError, unread)), within)


def _parsed_toml(content: bytes) -> Outcome[object]:
    def undecodable(error: UnicodeDecodeError) -> StorageError:
        line = content.count(b"\n", 0, error.start) + 1
        return invalid("", f"byte {error.start}, in line {line}, is not UTF-8")

    def parsed(text: str) -> Outcome[object]:
        for number, line in enumerate(text.split("\n"), 1):
            if line.count(".") > DOTS_MAX:
                return Failure(invalid("", f"line {number} has over {DOTS_MAX} dots"))
        return guard(
            lambda: cast("object", tomllib.loads(text)),
            catch(RecursionError, lambda _: invalid("", "it is nested too deeply")),
            catch(ValueError, lambda error: invalid("", f"this is no TOML: {error}")),
        )

    text = guard(lambda: content.decode("utf-8-sig"), catch(UnicodeDecodeError, undecodable))
    return and_then(text, parsed)


def parsed_json(content: bytes) -> Outcome[object]:
    """Give the value of JSON, or `InvalidSpec` with the line.

    >>> parsed_json(b"[1, 2]")
    <Success: [1, 2]>
    >>> parsed_json(b'{"a": 1, "a": 2}').failure().message
    "This is no whole JSON: it has the key 'a' twice in one mapping."
    """
    decoded = JSON_CODEC.decode(readable_of(content), Limits())
    return decoded.map(lambda found: cast("object", found.payload)).alt(
        lambda error: InvalidSpec("", None, error.message, error.advice, "")
    )


def _stores(value: object, registry: Registry) -> Outcome[dict[str, AnyStore]]:
    """Read what a file holds."""
    top = value if _is_table(value) else {}
    others = sorted(top.keys() - {"stores"})
    if others:
        return Failure(invalid(_word(others[0]), "it is unknown: all stands in 'stores'"))
    stores = top.get("stores")
    if not _is_table(stores):
        return Failure(invalid("stores", "it is missing, or no table of stores by name"))
    found: dict[str, AnyStore] = {}
    for name, spec in stores.items():
        if not name:
            return Failure(invalid("stores", "the name of a store is empty"))
        store = read_store(spec, registry, f"stores.{_word(name)}")
        if not is_successful(store):
            return Failure(store.failure())
        found[name] = store.unwrap()
    return Success(found)


def _is_table(value: object) -> TypeGuard[Table]:
    return isinstance(value, dict)


def _word(name: str) -> str:
    """Give a name as it stands in a dotted place: as it is, or in quotes."""
    return name if name.isidentifier() else repr(name)


def read_store(spec: object, registry: Registry, place: str) -> Outcome[AnyStore]:
    """Give the config that a spec describes; `InvalidSpec` says where in it, below `place`.

    >>> from polystore import default_registry
    >>> read_store({"memory": {"name": "a"}}, default_registry(), "stores.a")
    <Success: MemoryConfig(name='a')>
    >>> read_store({"memroy": {}}, default_registry(), "stores.a").failure().where
    'stores.a'
    """
    from polystore.steps.spec_kinds import NotInSpecError
    from polystore.steps.spec_reading import at

    unsound = _unsound(spec, place)
    if unsound is not None:
        return Failure(unsound)
    kinds = [entry.name for entry in registry.entries().stores]
    if not _is_table(spec) or len(spec) != 1:
        reason = f"it must be a table with one kind of store, one of {', '.join(kinds)}"
        return Failure(invalid(place, reason))
    (kind,) = spec
    if kind in kinds and not _is_table(spec[kind]):
        return Failure(invalid(f"{place}.{kind}", "it must be a table of fields"))
    converter = _converter(registry)
    return guard(
        lambda: at("", lambda: cast("AnyStore", converter.structure(spec, Source[object]))),
        catch(NotInSpecError, lambda error: invalid(f"{place}{error.where}", error.reason)),
        catch(RecursionError, lambda _: invalid(place, "it is nested too deeply")),
    )


@cache
def _converter(registry: Registry) -> Converter:
    from polystore.steps.spec_reading import reader

    return reader(registry, {})


def _unsound(value: object, place: str) -> InvalidSpec | None:
    """Say what no config may hold: too many levels, a NUL, half of a surrogate pair."""
    waiting: list[tuple[object, str, int]] = [(value, place, 0)]
    while waiting:
        value, place, depth = waiting.pop()
        if depth > DEPTH_MAX:
            return invalid(place, f"it is nested over {DEPTH_MAX} levels deep")
        if isinstance(value, str):
            if not _is_sound(value):
                return invalid(place, "it holds a NUL, or what is not UTF-8")
        elif _is_table(value):
            items = value.items()
            waiting += ((inner, f"{place}.{_word(name)}", depth + 1) for name, inner in items)
        elif isinstance(value, list):
            elements = enumerate(cast("list[object]", value))
            waiting += ((inner, f"{place}[{i}]", depth + 1) for i, inner in elements)
    return None


def _is_sound(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def invalid(place: str, reason: str) -> InvalidSpec:
    """Give the error of settings that are wrong at a place.

    >>> invalid("stores.raw.disk.root", "3 is not text").message
    'stores.raw.disk.root: 3 is not text.'
    """
    short = reason if len(reason) <= REASON_MAX else f"{reason[:REASON_MAX]}..."
    where = place if len(place) <= REASON_MAX else f"{place[:REASON_MAX]}..."
    message = f"{where}: {short}." if where else f"{short}."
    return InvalidSpec("", None, message, ADVICE, where)

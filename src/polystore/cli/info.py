"""`polystore info`: what is at a path, in words or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from polystore.cli.escaping import printable
from polystore.cli.exits import GOOD, NOT_BEGUN, ended_by
from polystore.core.outcome import is_successful

if TYPE_CHECKING:
    import argparse

    from polystore.core.payload import Json

__all__ = ["HELP", "TEXT", "describe", "lines", "run"]

HELP = "say what is at a path: shape, axes, scale, chunks, codecs, levels, wells, history"

TEXT = """\
Say what is at a path, without reading an element of it: what it is, its shape, axes and scale,
how it is stored and by whom it was made.

  polystore info image.zarr
  polystore info plate.zarr/A/1/0
  polystore info stack.ome.tif
  polystore info image.zarr --json | jq .shape"""

STATUSES = "exit status: 0, or 2 if there is nothing, or nothing that can be read"

SHOWN = 6  # names of a list that are shown before it is cut

MOST = 1000  # steps of a history, keys and the like are few; what a hostile store says is not


def describe(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    parser.epilog = STATUSES
    parser.add_argument("path", metavar="PATH", help="a file, a folder, or anything in Zarr")
    parser.add_argument("--json", action="store_true", help="say it as JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Say what is there, and give the exit status."""
    from polystore.boundary import guarded
    from polystore.cli.facts import facts_of
    from polystore.dispatch import handles

    with handles():
        facts = guarded(lambda: facts_of(arguments.path), "")
        if not is_successful(facts):
            return ended_by("info", facts.failure(), NOT_BEGUN)
        if arguments.json:
            print(json.dumps(facts.unwrap(), indent=2))
        else:
            print("\n".join(map(printable, lines(facts.unwrap()))))
    return GOOD


def lines(facts: Mapping[str, Json]) -> Iterator[str]:
    r"""Give the facts as a person reads them.

    >>> facts = {"path": "a.zarr", "kind": "array", "shape": [2, 3], "dtype": "uint16"}
    >>> print("\n".join(lines(facts)))
    a.zarr: an array
      shape     2 x 3
      dtype     uint16
    """
    yield f"{facts['path']}: {_title(facts)}"
    for label, text in _rows(facts):
        yield f"  {label:<9} {text}"
    for one in _maps(facts.get("first", [])):
        yield f"    {_item(one)}"
    first = facts.get("first")
    if isinstance(first, Mapping):
        yield f"  field {first['key']}"
        for label, text in _rows(first):
            yield f"    {label:<9} {text}"


def _title(facts: Mapping[str, Json]) -> str:
    kind, version = facts.get("kind"), facts.get("zarr_format")
    ome = facts.get("ome_version")
    named = {
        "array": "an array",
        "image": f"an OME-Zarr image, version {ome}",
        "plate": "an OME-Zarr plate",
        "well": "a well of an OME-Zarr plate",
        "group": "a Zarr store",
        "store": "a folder with Zarr in it",
        "link": "a link",
        "folder": "a folder",
        "file": "a file",
    }
    title = named.get(str(kind), str(kind))
    return title if version is None else f"{title}, in Zarr v{version}"


def _rows(facts: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    axes = _texts(facts, "axes")
    if "shape" in facts:
        named = f"  ({', '.join(axes)})" if axes else ""
        yield "shape", f"{_times(facts.get('shape'))}{named}"
    for name in ("dtype", "payload"):
        if name in facts:
            yield name, str(facts[name])
    if facts.get("scale"):
        yield "scale", _scale(facts)
    for label in ("channels", "labels", "rows", "columns", "wells"):
        found = _texts(facts, label)
        if found:
            yield label, _cut(found)
    yield from _fields(facts)
    yield from _storage(facts)
    if "suffixes" in facts or "keys" in facts:
        yield "holds", _holds(facts)
    history = _maps(facts.get("history", []))
    if history:
        yield "history", _cut([_step(event) for event in history[:MOST]], len(history))


def _fields(facts: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    if facts.get("field_count"):
        yield "fields", f"up to {facts['field_count']} in a well"
    lacking = facts.get("incomplete")
    if isinstance(lacking, Mapping) and lacking:
        yield "incomplete", _cut([f"{field} lacks {what}" for field, what in lacking.items()])


def _storage(facts: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    if facts.get("stored_axes"):
        yield "order", f"of what follows, as stored: ({', '.join(_texts(facts, 'stored_axes'))})"
    if facts.get("chunks") is not None:
        shards = f", in shards of {_times(facts['shards'])}" if facts.get("shards") else ""
        yield "chunks", f"{_times(facts['chunks'])}{shards}"
    if facts.get("codecs"):
        yield "codecs", ", ".join(_texts(facts, "codecs"))
    levels = _maps(facts.get("levels", []))
    if levels:
        yield "levels", "; ".join(f"{it['path']}: {_times(it['shape'])}" for it in levels[:MOST])
    if facts.get("blocks"):
        yield "blocks", f"{_times(facts['blocks'])}, each read at once"
    stored, whole = facts.get("stored_bytes"), facts.get("bytes")
    if isinstance(stored, int):
        yield "stored", _size(stored, whole if isinstance(whole, int) else None)
    elif isinstance(whole, int):
        yield "bytes", f"{whole:,}"


def _size(stored: int, whole: int | None) -> str:
    if whole is None:
        return f"{stored:,} bytes"
    ratio = f" ({whole / stored:.2f} to 1)" if stored else ""
    return f"{stored:,} bytes of {whole:,}{ratio}"


def _scale(facts: Mapping[str, Json]) -> str:
    scale, units = facts.get("scale"), _texts(facts, "unit")
    axes = _texts(facts, "axes")
    steps = scale if isinstance(scale, list) else []
    padded = (*units, *[""] * len(steps))
    names = axes if len(axes) == len(steps) else tuple(map(str, range(len(steps))))
    return ", ".join(
        f"{name} {step:g} {unit}".rstrip() if isinstance(step, float) else f"{name} {step}"
        for name, step, unit in zip(names, steps, padded, strict=False)
    )


def _holds(facts: Mapping[str, Json]) -> str:
    keys = _texts(facts, "keys")
    if facts.get("kind") != "folder":
        return "1 item" if len(keys) == 1 else f"{len(keys):,} items"
    suffixes = facts.get("suffixes")
    kinds = suffixes.items() if isinstance(suffixes, Mapping) else ()
    counted = ", ".join(f"{count} .{suffix}" if suffix else f"{count} without suffix"
                        for suffix, count in kinds)  # fmt: skip
    stores = len(_texts(facts, "stores"))
    files = "1 file" if facts.get("files") == 1 else f"{facts.get('files')} files"
    parts = [f"{files} ({counted})"] if counted else []
    if stores:
        parts.append("1 Zarr store" if stores == 1 else f"{stores} Zarr stores")
    return ", ".join(parts) or "nothing"


def _item(facts: Mapping[str, Json]) -> str:
    if "error" in facts:
        return f"{facts['key']}: {facts['error']}"
    axes = ", ".join(_texts(facts, "axes"))
    shape = f"  {_times(facts['shape'])}" if "shape" in facts else ""
    dtype = f"  {facts['dtype']}" if "dtype" in facts else ""
    kind = "" if "shape" in facts or "kind" not in facts else f"  {_title(facts)}"
    return f"{facts['key']}{kind}{shape}{dtype}{f'  ({axes})' if axes else ''}"


def _step(event: Mapping[str, Json]) -> str:
    return f"{event.get('step')} {event.get('key')} (polystore {event.get('polystore')})"


def _times(lengths: Json) -> str:
    if not isinstance(lengths, list):
        return str(lengths)
    return " x ".join(map(str, lengths)) or "a scalar"


def _texts(facts: Mapping[str, Json], name: str) -> tuple[str, ...]:
    value = facts.get(name)
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _maps(value: Json) -> list[Mapping[str, Json]]:
    return [it for it in value if isinstance(it, Mapping)] if isinstance(value, list) else []


def _cut(names: Sequence[str], total: int | None = None) -> str:
    """Give names with commas between, the first and the last of many.

    >>> _cut([str(n) for n in range(12)])
    '0, 1, 2, 3, 4, ... 11 (12)'
    """
    count = len(names) if total is None else total
    if count <= SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[: SHOWN - 1])}, ... {names[-1]} ({count})"

"""The fields of an array's documents, each for itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from polystore.backends.zarr.elements.grid import Place
from polystore.core.payload import Json

__all__ = [
    "Named",
    "axes_of",
    "file_name_of",
    "is_dense",
    "lengths_of",
    "list_of",
    "named_of",
    "steps_of",
]

Named: TypeAlias = tuple[str, Mapping[str, Json]]
"""The name and the configuration of an extension point."""

_NDIM_MAX = 32  # NumPy has 64 since its version 2
_LENGTH_MAX = 2**63 - 1


def lengths_of(value: Json, least: int) -> tuple[int, ...]:
    """Give the lengths in a list, each at least `least`; `ValueError` for what is none."""
    found = list_of(value)
    lengths = tuple(it for it in found if isinstance(it, int) and not isinstance(it, bool))
    if len(lengths) < len(found) or not all(least <= it <= _LENGTH_MAX for it in lengths):
        raise ValueError("a length is none")
    if len(lengths) > _NDIM_MAX:
        raise NotImplementedError(f"it has {len(lengths)} axes, and NumPy at most {_NDIM_MAX}")
    return lengths


def steps_of(value: Json, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Give the lengths of a chunk or file; where the array has none, some write 0."""
    steps = lengths_of(value, 0)
    if len(steps) != len(shape):
        raise ValueError("its chunks have another number of axes than its shape")
    if any(step == 0 < length for step, length in zip(steps, shape, strict=True)):
        raise ValueError("a chunk is empty")
    return tuple(max(1, step) for step in steps)


def list_of(value: Json) -> Sequence[Json]:
    """Give a list as it is; `ValueError` for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"a {type(value).__name__} stands where a list should be")
    return value


def named_of(value: Json) -> Named:
    """Give the name and the configuration of an extension point, which may be a name alone."""
    if isinstance(value, str):
        return value, {}
    name = value.get("name") if isinstance(value, Mapping) else None
    options = value.get("configuration", {}) if isinstance(value, Mapping) else None
    if isinstance(name, str) and isinstance(options, Mapping):
        return name, options
    raise ValueError("a part of it has no name")


def axes_of(names: Json, ndim: int) -> tuple[str, ...]:
    """Give the names of the axes, if all of them have one."""
    if names is None:
        return ()
    found = list_of(names)
    if len(found) != ndim or not all(isinstance(name, str | None) for name in found):
        raise ValueError("its dimension_names are not one for each axis")
    axes = tuple(name for name in found if isinstance(name, str))
    return axes if len(axes) == ndim else ()


def is_dense(attributes: Mapping[str, Json]) -> bool:
    """Say whether our notes say that all chunks were written."""
    ours = attributes.get("polystore")
    return isinstance(ours, Mapping) and ours.get("dense") is True


def file_name_of(encoding: str, options: Mapping[str, Json]) -> Callable[[Place], str]:
    """Give what names the files of an array, by their places."""
    if encoding not in ("default", "v2"):
        raise NotImplementedError(f"its files are named by {encoding!r}")
    separator = options.get("separator", "/" if encoding == "default" else ".")
    if separator not in ("/", "."):
        raise ValueError("the separator in the names of its files is neither / nor .")
    return partial(_default_name if encoding == "default" else _v2_name, str(separator))


def _default_name(separator: str, place: Place) -> str:
    return separator.join(("c", *map(str, place)))


def _v2_name(separator: str, place: Place) -> str:
    return separator.join(map(str, place)) or "0"

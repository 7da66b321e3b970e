"""The planes of a plate on the command line: which files they are, and which planes are lacking."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from polystore.core.errors import InvalidKey, InvalidSpec
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.dispatch import default_dispatcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from polystore.backends.zarr.plates.names import Plane
    from polystore.backends.zarr.tree import ZarrStore
    from polystore.configs import PlateNames, ZarrConfig
    from polystore.core.errors import StorageError

__all__ = ["lacking_in", "planes_among", "said_lacking"]

SHOWN = 3
"""How many files, or fields, are named."""


def planes_among(names: PlateNames, keys: Sequence[str], folder: str) -> Outcome[dict[str, str]]:
    """Give the keys of images by their names below a folder, which all are those of planes.

    `InvalidKey` names the first that are not, with the reasons; `InvalidSpec` is for no template.

    >>> from polystore import PlateNames
    >>> planes_among(PlateNames("{row}{column}.tif"), ["x/A1.tif"], "x")
    <Success: {'A1.tif': 'x/A1.tif'}>
    """
    from polystore.backends.zarr.plates.names import parsed

    by_name: dict[str, str] = {}
    unfit: list[StorageError] = []
    for key in keys:
        name = key.removeprefix(f"{folder}/") if folder else key
        plane = parsed(names, name)
        if is_successful(plane):
            by_name[name] = key
        elif isinstance(plane.failure(), InvalidSpec):
            return Failure(plane.failure())
        else:
            unfit.append(plane.failure())
    return Failure(_unfit(unfit, len(keys))) if unfit else Success(by_name)


def _unfit(errors: Sequence[StorageError], total: int) -> StorageError:
    first = errors[0]
    if len(errors) == total == 1:
        return first
    more = f" {len(errors) - SHOWN} more do not." if len(errors) > SHOWN else ""
    said = " ".join(error.message for error in errors[:SHOWN])
    message = f"{len(errors)} of {total} images are no planes of the plate. {said}{more}"
    return InvalidKey(first.key, first.config, message, first.advice)


def lacking_in(config: ZarrConfig, fields: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Give those fields of a plate that lack planes, each with what it lacks: `"c=0"`."""
    from polystore.backends.zarr.plates.grouping import said_places
    from polystore.backends.zarr.plates.planes import lacking_places

    opened = default_dispatcher().open(config)
    if not is_successful(opened):
        return ()
    store = cast("ZarrStore", opened.unwrap().handle)
    found: list[tuple[str, str]] = []
    for field in fields:
        axes, places = lacking_places(store, Key(field)).value_or(((), ()))
        if places:
            found.append((field, said_places(None, field, axes, places)))
    return tuple(found)


def said_lacking(config: ZarrConfig, names: PlateNames, files: Iterable[str]) -> str:
    """Say which of the fields that files are planes of lack others, and why that may be."""
    from polystore.backends.zarr.plates.names import parsed

    planes = [it.unwrap() for it in (parsed(names, file) for file in files) if is_successful(it)]
    lacking = lacking_in(config, dict.fromkeys(plane.field_key for plane in planes))
    if not lacking:
        return ""
    named = ", ".join(f"{field}: {what}" for field, what in lacking[:SHOWN])
    more = ", ..." if len(lacking) > SHOWN else ""
    what = "1 field lacks" if len(lacking) == 1 else f"{len(lacking)} fields lack"
    first = _first(names, planes)
    ask = f"do the numbers start elsewhere? --first {first}" if first else "copy those files too"
    return f"{what} planes ({named}{more}); {ask}"


def _first(names: PlateNames, planes: Sequence[Plane]) -> str:
    """Give what the files count from by their numbers, as it is typed; `""` if as was said."""
    from polystore.backends.zarr.plates.names import axes_of, first_of

    axes = axes_of(names).value_or(())
    counted = {axis: "channel" if axis == "c" else axis for axis in ("c", "z", "t") if axis in axes}
    lowest = {
        name: min((getattr(plane, name) for plane in planes), default=0)
        for name in counted.values()
    }
    if not any(lowest.values()):
        return ""
    firsts = {"field": first_of(names, "field")}
    firsts |= {name: first_of(names, name) + number for name, number in lowest.items()}
    typed = [
        f"{name}={number}"
        for name, number in firsts.items()
        if number != 1 or lowest.get(name)  # 1 is what is meant where nothing is said
    ]
    return ",".join(typed)

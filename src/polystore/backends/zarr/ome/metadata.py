"""What the attributes of an OME-Zarr image say, of version 0.5 and 0.4, and how they are written.

0.5 has everything under `ome`, 0.4 beside each other (https://ngff.openmicroscopy.org/0.5/ and
.../0.4/, under "multiscales"). What was written before 0.4 names no axes, or no scale, and is not
read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from attrs import field, frozen

from polystore.backends.zarr.ome.axes import axis_type
from polystore.core.errors import Corrupt, StorageError, UnsupportedOperation
from polystore.core.outcome import Failure, Outcome, catch, guard
from polystore.core.payload import Json

__all__ = ["Level", "OmeImage", "OmeVersion", "image_in", "image_json", "is_image"]

OmeVersion: TypeAlias = Literal["0.5", "0.4"]
"""The versions that are read and written."""

_EARLIER = ("0.1", "0.2", "0.3")

_OURS = ("multiscales", "omero", "image-label", "version")
"""What of the attributes is said by the fields of `OmeImage`."""


def _none() -> Mapping[str, Json]:
    return {}


@frozen
class Level:
    """One resolution: the path of its array below the image, and where its pixels lie.

    Along each axis a pixel of index n is at `n * scale + translation`, in the unit of the axis.
    """

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@frozen
class OmeImage:
    """An image: its axes, their units (`""` where none is said), its resolutions, the full first.

    - `name` and `downsampling` are what it says of itself, or `""`. `downsampling` is ours where it
      is `"mean"` or `"nearest"`.
    - `omero` is how its channels are shown, `label` what makes it a label image; both as they are,
      but for their versions.
    - `others` are the attributes that have nothing to do with it.
    """

    version: OmeVersion
    axes: tuple[str, ...]
    units: tuple[str, ...]
    levels: tuple[Level, ...]
    name: str = ""
    downsampling: str = ""
    omero: Mapping[str, Json] | None = field(default=None, hash=False)
    label: Mapping[str, Json] | None = field(default=None, hash=False)
    others: Mapping[str, Json] = field(factory=_none, hash=False)


def is_image(attributes: Mapping[str, Json]) -> bool:
    """Whether the attributes of a group call it an image.

    >>> is_image({"ome": {"multiscales": []}}), is_image({"multiscales": []}), is_image({"a": 1})
    (True, True, False)
    """
    return isinstance(_words(attributes).get("multiscales"), list)


def _words(attributes: Mapping[str, Json]) -> Mapping[str, Json]:
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def image_json(image: OmeImage) -> dict[str, Json]:
    """Give the attributes of an image's group, as its version has them, and its others.

    >>> image = OmeImage("0.4", ("y", "x"), ("", ""), (Level("0", (1.0, 1.0), (0.0, 0.0)),))
    >>> image_json(image)["multiscales"][0]["version"]
    '0.4'
    """
    multiscale: dict[str, Json] = {
        "axes": list(map(_axis_json, image.axes, image.units)),
        "datasets": [_level_json(level) for level in image.levels],
    }
    if image.name:
        multiscale["name"] = image.name
    if image.downsampling:
        multiscale["type"] = image.downsampling
    old = image.version == "0.4"
    words: dict[str, Json] = {"version": image.version}
    if old:
        multiscale, words = {"version": image.version, **multiscale}, {}
    words["multiscales"] = [multiscale]
    for name, value in (("omero", image.omero), ("image-label", image.label)):
        if value is not None:
            words[name] = {**value, "version": image.version} if old else value
    return {**image.others, **(words if old else {"ome": words})}


def _axis_json(name: str, unit: str) -> dict[str, Json]:
    kind = axis_type(name)
    said = {"name": name} if kind is None else {"name": name, "type": kind}
    return {**said, "unit": unit} if unit else dict[str, Json](said)


def _level_json(level: Level) -> dict[str, Json]:
    steps: list[Json] = [{"type": "scale", "scale": list(level.scale)}]
    if any(level.translation):
        steps.append({"type": "translation", "translation": list(level.translation)})
    return {"path": level.path, "coordinateTransformations": steps}


def image_in(attributes: Mapping[str, Json]) -> Outcome[OmeImage]:
    """Give what the attributes of a group say of an image: of the first, where they have several.

    `Corrupt` where they contradict themselves, `UnsupportedOperation` for versions that are not
    read.

    >>> image_in({"multiscales": [{"version": "0.2", "datasets": []}]}).failure().message
    'This image is OME-Zarr 0.2, which does not say what its axes are.'
    >>> image_in({"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}]}]}).failure().message
    'The OME-Zarr metadata of this image is damaged: it has no datasets.'
    """
    words = _words(attributes)
    found = words.get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    if not isinstance(first, Mapping):
        return Failure(_damaged(ValueError("it has no multiscales")))
    version = _version(words, first)
    if version not in ("0.4", "0.5"):
        return Failure(_no_version(version))
    others = {
        name: value
        for name, value in attributes.items()
        if name != "ome" and (words is not attributes or name not in _OURS)
    }
    return guard(
        lambda: _image(version, words, first, others),
        catch(ValueError, _damaged),
        catch(OverflowError, _damaged),
    )


def _version(words: Mapping[str, Json], multiscale: Mapping[str, Json]) -> object:
    """Give the version that is said; 0.4 is known by its axes too, the first to be mappings."""
    said = multiscale.get("version", words.get("version"))
    if said is not None:
        return said
    axes = multiscale.get("axes")
    typed = isinstance(axes, list) and all(isinstance(axis, Mapping) for axis in axes)
    return "0.4" if typed else "0.3 or earlier"


def _no_version(version: object) -> UnsupportedOperation:
    if str(version).startswith(_EARLIER):
        message = f"This image is OME-Zarr {version}, which does not say what its axes are."
        advice = "Convert it to 0.4 or 0.5 with its own program, or load its arrays: 'image/0'."
        return UnsupportedOperation("", None, message, advice)
    message = f"This image is OME-Zarr of version {version!r}; 0.4 and 0.5 are read."
    advice = "Upgrade polystore, or load its arrays one by one."
    return UnsupportedOperation("", None, message, advice)


def _damaged(error: Exception) -> StorageError:
    return Corrupt(
        "",
        None,
        f"The OME-Zarr metadata of this image is damaged: {error}.",
        "Mend it with the program that wrote it, or load its arrays one by one.",
    )


def _image(
    version: OmeVersion,
    words: Mapping[str, Json],
    multiscale: Mapping[str, Json],
    others: Mapping[str, Json],
) -> OmeImage:
    axes = [_named(axis) for axis in _list(multiscale, "axes")]
    names = tuple(name for name, _ in axes)
    if len(set(names)) != len(names) or not names:
        raise ValueError("an axis is named twice" if names else "it has no axes")
    ndim = len(names)
    above = _steps(multiscale, ndim)
    levels = tuple(_level(each, ndim, above) for each in _list(multiscale, "datasets"))
    if not levels:
        raise ValueError("it has no datasets")
    name, kind = multiscale.get("name"), multiscale.get("type")
    return OmeImage(
        version,
        names,
        tuple(unit for _, unit in axes),
        levels,
        name if isinstance(name, str) else "",
        kind if isinstance(kind, str) else "",
        _unversioned(words.get("omero")),
        _unversioned(words.get("image-label")),
        others,
    )


def _unversioned(words: Json) -> Mapping[str, Json] | None:
    if not isinstance(words, Mapping):
        return None
    return {name: value for name, value in words.items() if name != "version"}


def _list(words: Mapping[str, Json], name: str) -> Sequence[Json]:
    value = words.get(name)
    if not isinstance(value, list):
        raise ValueError(f"it has no {name}")
    return value


def _named(axis: Json) -> tuple[str, str]:
    name = axis.get("name") if isinstance(axis, Mapping) else None
    if not isinstance(axis, Mapping) or not isinstance(name, str) or not name:
        raise ValueError("an axis has no name")
    unit = axis.get("unit")
    return name, unit if isinstance(unit, str) else ""


_Steps: TypeAlias = "tuple[tuple[float, ...], tuple[float, ...]]"


def _level(dataset: Json, ndim: int, above: _Steps) -> Level:
    path = dataset.get("path") if isinstance(dataset, Mapping) else None
    if not isinstance(dataset, Mapping) or not isinstance(path, str):
        raise ValueError("a dataset has no path")
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in path or "\0" in path:
        raise ValueError(f"the path of a dataset, {path!r}, does not lead below the image")
    scale, shift = _steps(dataset, ndim)
    outer, offset = above
    return Level(
        path,
        tuple(a * b for a, b in zip(outer, scale, strict=True)),
        tuple(a * b + c for a, b, c in zip(outer, shift, offset, strict=True)),
    )


def _steps(words: Mapping[str, Json], ndim: int) -> _Steps:
    """Give the scale and the translation that transformations amount to, one after the other."""
    scale, shift = [1.0] * ndim, [0.0] * ndim
    said = words.get("coordinateTransformations", [])
    if not isinstance(said, list):
        raise ValueError("its coordinateTransformations are no list")
    for step in said:
        kind = step.get("type") if isinstance(step, Mapping) else None
        if not isinstance(step, Mapping) or kind not in ("scale", "translation", "identity"):
            raise ValueError("it has a transformation other than scale and translation")
        if kind == "identity":
            continue
        numbers = _numbers(step.get(kind), kind, ndim)
        if kind == "scale":
            scale = [a * b for a, b in zip(scale, numbers, strict=True)]
            shift = [a * b for a, b in zip(shift, numbers, strict=True)]
        else:
            shift = [a + b for a, b in zip(shift, numbers, strict=True)]
    return tuple(scale), tuple(shift)


def _numbers(value: Json, kind: str, ndim: int) -> list[float]:
    if not isinstance(value, list) or len(value) != ndim:
        raise ValueError(f"a {kind} has not one number for each of the {ndim} axes")
    numbers: list[float] = []
    for number in value:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise ValueError(f"a {kind} is no number")
        if not math.isfinite(number):
            raise ValueError(f"a {kind} is not finite")
        numbers.append(float(number))
    return numbers

"""Comparing what two paths hold: item by item, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, cast

from attrs import evolve, frozen

from polystore.backends.zarr.elements.grid import covered
from polystore.cli.errand import Source, source_of
from polystore.cli.lazily import as_lazy, loaded
from polystore.cli.planes import planes_among
from polystore.cli.readback import first_difference
from polystore.configs import ZarrConfig
from polystore.core.errors import UnsupportedOperation
from polystore.core.item import Metadata
from polystore.core.key import suffix_of
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import Region, is_host_array
from polystore.core.region import Box, region_of, whole
from polystore.core.table import Table
from polystore.discover import default_registry
from polystore.dispatch import default_dispatcher
from polystore.files.labels import labels_below

if TYPE_CHECKING:
    from polystore.configs import PlateNames
    from polystore.core.payload import Payload
    from polystore.core.records import Source as Loadable
    from polystore.files.place import PathConfig

__all__ = ["Comparison", "Pairing", "blocks", "compared", "paired"]

BLOCK_BYTES = 32 * 2**20
"""How much of each side is in memory at once, unless a chunk is larger."""

BLOCK_MAX = 256 * 2**20
"""A larger chunk is read in parts, which takes longer: it is decoded for each."""


@frozen
class Pairing:
    """Which items are compared, and in a sentence each what is on one side only.

    `others` are the keys of files that are not compared, as they are no images.
    """

    one: PathConfig
    other: PathConfig
    pairs: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    others: tuple[str, ...] = ()


@frozen
class Comparison:
    """What differs, `""` if nothing; `remarks` are the parts of the metadata that do, and how."""

    difference: str
    remarks: tuple[tuple[str, str], ...] = ()


def paired(one: str, other: str, names: PlateNames | None) -> Outcome[Pairing]:
    """Give what is to be compared; the errors are those of looking at the two paths."""
    here = and_then(source_of(one, names), lambda it: _of_plate(it, names))
    if not is_successful(here):
        return Failure(here.failure())
    there = and_then(source_of(other, names), lambda it: _of_plate(it, names))
    pairing = and_then(there, lambda it: _paired(here.unwrap(), it, (one, other)))
    return and_then(pairing, lambda it: _labeled(it, (one, other)))


def _labeled(pairing: Pairing, paths: tuple[str, str]) -> Outcome[Pairing]:
    """Give the labels of the images to be compared as well, each after its image."""
    pairs: list[tuple[str, str]] = []
    missing = list(pairing.missing)
    for one, other in pairing.pairs:
        here, there = _labels(pairing.one, one), _labels(pairing.other, other)
        for found in (here, there):
            if not is_successful(found):
                return Failure(found.failure())
        ours, theirs = here.unwrap(), there.unwrap()
        pairs.append((one, other))
        pairs += [(key, theirs[name]) for name, key in ours.items() if name in theirs]
        for path, mine, others in ((paths[0], ours, theirs), (paths[1], theirs, ours)):
            lone = [key for name, key in mine.items() if name not in others]
            missing += [f"{key}: only in {path}" for key in lone]
    return Success(evolve(pairing, pairs=tuple(pairs), missing=tuple(missing)))


def _labels(config: PathConfig, image: str) -> Outcome[dict[str, str]]:
    """Give the keys of an image's labels, by what they are called below it."""
    run = default_dispatcher()
    found = and_then(run.target(config, image), lambda it: labels_below(it, run))
    return found.map(lambda keys: {key[len(image) :]: str(key) for key in keys})


def _of_plate(source: Source, names: PlateNames | None) -> Outcome[Source]:
    """Give the files, which are all planes of the plate: the errors are those of a copy."""
    if names is None or isinstance(source.config, ZarrConfig) or not source.many:
        return Success(source)
    return planes_among(names, source.keys, source.folder).map(lambda _: source)


def _paired(here: Source, there: Source, paths: tuple[str, str]) -> Outcome[Pairing]:
    if here.many != there.many:
        lone, group = paths if there.many else paths[::-1]
        message = (
            f"{lone!r} is one item, and {group!r} holds {len((here, there)[there.many].keys)}."
        )
        advice = "Compare it with one of them: write its key after the path."
        return Failure(UnsupportedOperation("", None, message, advice))
    if not here.many:
        pairs: tuple[tuple[str, str], ...] = ((here.keys[0], there.keys[0]),)
        return Success(Pairing(here.config, there.config, pairs, ()))
    ours, theirs = _by_name(here), _by_name(there)
    left = [key for key in ours if key not in theirs]
    missing = [f"{ours[name]}: only in {paths[0]}" for name in left]
    missing += [f"{key}: only in {paths[1]}" for name, key in theirs.items() if name not in ours]
    pairs = tuple((key, theirs[name]) for name, key in ours.items() if name in theirs)
    others = here.others + there.others
    return Success(Pairing(here.config, there.config, pairs, tuple(missing), others))


def _by_name(source: Source) -> dict[str, str]:
    """Give the keys by what they are called without the folder and the suffix, if that is clear."""
    suffixes = tuple(
        suffix for it in default_registry().entries().formats for suffix in it.key.suffixes
    )
    below = {
        key: key.removeprefix(f"{source.folder}/" * bool(source.folder)) for key in source.keys
    }
    stems: dict[str, str] = {}
    for key, name in below.items():
        suffix = suffix_of(name, (*suffixes, ".zarr"))
        stem = name[: -len(suffix)] if suffix else name
        if stem in stems:  # a.tif beside a.png: the whole names it is
            return {name: key for key, name in below.items()}
        stems[stem] = key
    return stems


def compared(
    pairing: Pairing,
    pair: tuple[str, str],
    stopping: Callable[[], bool],
    advance: Callable[[int], None],
) -> Outcome[Comparison]:
    """Compare two items; `advance` is told of a thousand steps in all."""
    one = loaded(cast("Loadable[Payload]", pairing.one), pair[0])
    if not is_successful(one):
        return Failure(one.failure())
    other = loaded(cast("Loadable[Payload]", pairing.other), pair[1])
    if not is_successful(other):
        return Failure(other.failure())
    here, there = one.unwrap(), other.unwrap()
    found = _difference(here.payload, there.payload, stopping, advance)
    return found.map(lambda text: Comparison(text, tuple(_remarks(here.metadata, there.metadata))))


def _remarks(one: Metadata, other: Metadata) -> Iterator[tuple[str, str]]:
    for name in ("axes", "scale", "unit", "channel_names"):
        here, there = getattr(one, name), getattr(other, name)
        if here != there:
            yield name, f"{list(here)} and {list(there)}"
    if dict(one.attributes) != dict(other.attributes):
        names = sorted(
            name
            for name in {*one.attributes, *other.attributes}
            if one.attributes.get(name) != other.attributes.get(name)
        )
        yield "attributes", ", ".join(names)


def _difference(
    one: object, other: object, stopping: Callable[[], bool], advance: Callable[[int], None]
) -> Outcome[str]:
    here, there = as_lazy(one), as_lazy(other)
    if here is None or there is None:
        advance(1000)
        return Success(_of_others(one, other))
    spec, shape = here.spec, there.spec.shape
    if spec.shape != shape:
        return Success(f"the shape is {spec.shape} and {shape}")
    total, done = math.prod(shape) or 1, 0
    for region in blocks(shape, spec.blocks or shape, _itemsize(spec.dtype)):
        if stopping():
            break
        parts = here.read(region), there.read(region)
        for part in parts:
            if not is_successful(part):
                return Failure(part.failure())
        found = first_difference(parts[0].unwrap(), parts[1].unwrap(), _start(region))
        if found:
            return Success(found)
        step = done * 1000 // total
        done += parts[0].unwrap().size
        advance(done * 1000 // total - step)
    return Success("")


def _start(region: Region) -> tuple[int, ...]:
    return tuple(part.start for part in region)


def _itemsize(dtype: str) -> int:
    import numpy as np

    try:
        return max(np.dtype(dtype).itemsize, 1)
    except TypeError:  # one that NumPy alone does not know: none is larger
        return 16


def blocks(shape: tuple[int, ...], natural: tuple[int, ...], itemsize: int) -> Iterator[Region]:
    """Give regions that cover an array, as large as memory allows, along its natural blocks.

    >>> list(blocks((4, 6), (2, 6), 2))
    [(slice(0, 4, None), slice(0, 6, None))]
    """
    if 0 in shape:
        yield region_of(tuple(range(0) for _ in shape)) if shape else ()
        return
    steps = [max(1, min(step, length)) for step, length in zip(natural, shape, strict=True)]
    for axis in reversed(range(len(steps))):
        room = max(1, BLOCK_BYTES // (math.prod(steps) * itemsize))
        steps[axis] = min(shape[axis], steps[axis] * room)
    for axis in range(len(steps)):  # a block may be all of a large array
        excess = math.ceil(math.prod(steps) * itemsize / BLOCK_MAX)
        steps[axis] = max(1, steps[axis] // excess)
    for place in covered(whole(shape), steps):
        yield region_of(_box(place, steps, shape))


def _box(place: tuple[int, ...], steps: list[int], shape: tuple[int, ...]) -> Box:
    sizes = zip(place, steps, shape, strict=True)
    return tuple(range(n * step, min((n + 1) * step, length)) for n, step, length in sizes)


def _of_others(one: object, other: object) -> str:
    """Say how two payloads differ that are not both arrays, or `""`."""
    values = _of_values(one, other)
    if isinstance(one, Table) and isinstance(other, Table):
        return _of_others(one.columns, other.columns)
    if is_host_array(one) and is_host_array(other):
        if one.shape != other.shape:
            return f"the shape is {one.shape} and {other.shape}"
        return first_difference(one, other, (0,) * one.ndim)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return _of_mappings(
            cast("Mapping[object, object]", one), cast("Mapping[object, object]", other)
        )
    return values


def _of_values(one: object, other: object) -> str:
    """Say how texts, numbers and regions differ: by what is written of them."""
    same = type(one) is type(other) and repr(one) == repr(other)
    return "" if same else f"a {type(one).__name__} and a {type(other).__name__} that differ"


def _of_mappings(one: Mapping[object, object], other: Mapping[object, object]) -> str:
    if set(one) != set(other):
        return f"the names are {sorted(map(str, one))} and {sorted(map(str, other))}"
    for name, value in one.items():
        found = _of_others(value, other[name])
        if found:
            return f"under {name!r}, {found}"
    return ""

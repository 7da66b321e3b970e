"""What a config of Zarr was given that none can take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeGuard, cast

from polystore.configs import (
    Blosc,
    ChunkStrategy,
    Gzip,
    OmeOptions,
    PlateNames,
    ZarrConfig,
    ZarrLayout,
    Zstd,
)
from polystore.configs.zarr import COUNTED
from polystore.core.errors import InvalidSpec

__all__ = ["are_numbers", "is_number", "mistake_in_zarr"]

_May: TypeAlias = tuple[Callable[[object], bool], str]
"""Whether a value may stand in a field, and what may, in words."""


def is_number(value: object, least: int) -> bool:
    """Whether it is a whole number, and no smaller than the least.

    >>> is_number(0, 0), is_number(True, 0)
    (True, False)
    """
    return type(value) is int and value >= least


def are_numbers(value: object, least: int) -> bool:
    """Whether it is a tuple of such numbers."""
    if not isinstance(value, tuple):
        return False
    return all(is_number(each, least) for each in cast("tuple[object, ...]", value))


def _are_texts(value: object) -> bool:
    if not isinstance(value, tuple):
        return False
    return all(isinstance(each, str) for each in cast("tuple[object, ...]", value))


def _one_of(*words: str) -> _May:
    return (lambda it: it in words), f"one of {', '.join(map(repr, words))}"


def _a(*kinds: type[object]) -> _May:
    names = ", ".join(f"{kind.__name__}(...)" for kind in kinds)
    return (lambda it: isinstance(it, kinds)), names


def _or_none(may: _May) -> _May:
    fits, words = may
    return (lambda it: it is None or fits(it)), f"{words} or None"


def _number(least: int) -> _May:
    return (lambda it: is_number(it, least)), f"a whole number, {least} or more"


def _is_first(value: object) -> bool:
    if not isinstance(value, tuple):
        return is_number(value, 0)
    pairs = cast("tuple[object, ...]", value)
    names = [it[0] for it in pairs if _is_pair(it)]
    return len(names) == len(pairs) == len(set(names))


def _is_pair(value: object) -> TypeGuard[tuple[str, int]]:
    if not isinstance(value, tuple):
        return False
    pair = cast("tuple[object, ...]", value)
    return len(pair) == 2 and pair[0] in COUNTED and is_number(pair[1], 0)


_LENGTHS: _May = (lambda it: are_numbers(it, 1)), "one length per axis, each 1 or more,"
_TEXTS: _May = _are_texts, "texts"
_FIRST: _May = (
    _is_first,
    f"a whole number, 0 or more, or such numbers by name, of {', '.join(COUNTED)}",
)

_FIELDS: Mapping[type[object], Mapping[str, _May]] = {
    ZarrConfig: {
        "layout": ((lambda it: isinstance(it, ZarrLayout)), "a ZarrLayout"),
        "chunks": _or_none(_LENGTHS),
        "shards": _or_none(_LENGTHS),
        "compressor": _or_none(_a(Blosc, Zstd, Gzip)),
        "chunk_strategy": ((lambda it: isinstance(it, ChunkStrategy)), "a ChunkStrategy"),
        "ome": _a(OmeOptions),
        "names": _or_none(_a(PlateNames)),
        "max_bytes": _number(0),
    },
    Blosc: {
        "cname": _one_of("zstd", "lz4", "lz4hc", "blosclz", "zlib"),
        "level": _number(0),
        "shuffle": _one_of("bitshuffle", "shuffle", "none"),
    },
    Zstd: {"level": _number(0)},
    Gzip: {"level": _number(0)},
    OmeOptions: {
        "version": _one_of("0.5", "0.4"),
        "axes": _TEXTS,
        "levels": _or_none(_number(1)),
        "downsampling": _one_of("mean", "nearest"),
    },
    PlateNames: {
        "template": ((lambda it: isinstance(it, str)), "text"),
        "first": _FIRST,
    },
}
"""What may stand in each field of a config, and of the values that it is made of."""


def mistake_in_zarr(config: ZarrConfig) -> InvalidSpec | None:
    """Give the error for a config, or a part of one, with a wrong value; `None` for a right one.

    >>> print(mistake_in_zarr(ZarrConfig("/data", chunks=(0,))).message)
    ZarrConfig.chunks is (0,), and must be one length per axis, each 1 or more, or None.
    """
    for part in (config, config.compressor, config.ome, config.names):
        for name, (fits, wanted) in _FIELDS.get(type(part), {}).items():
            given: object = getattr(part, name)
            if not fits(given):
                where = f"{type(part).__name__}.{name}"
                message = f"{where} is {given!r}, and must be {wanted}."
                advice = "A type checker shows where it is set."
                return InvalidSpec("", config, message, advice, where)
    return None

"""The options that a codec is tried with, found from the annotations of its options' class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import NoneType, UnionType
from typing import Literal, Union, cast, get_args, get_origin

from polystore.core.records import Codec

__all__ = ["options_of"]


def options_of(codec: Codec[object]) -> tuple[object, ...]:
    """Give options to encode with: `None` first, then each choice of each field, one at a time.

    Choices are known of literals, booleans and integers; of other fields the default is used.

    >>> from polystore.formats.npz import NPZ_CODEC
    >>> options_of(NPZ_CODEC)
    (None, NpzOptions(compression='none'), NpzOptions(compression='deflate'))
    """
    return (None, *(_instances(codec.options) if codec.options else ()))


_INTEGERS = (50, 1, 0, 9, 100)
"""Levels and qualities of most libraries; the first where one has to be given."""


def _instances(options: type[object]) -> Iterator[object]:
    hints = inspect.get_annotations(options, eval_str=True)
    make = cast("Callable[..., object]", options)
    fields = inspect.signature(options).parameters
    choices = {name: _choices(hints.get(name)) for name in fields}
    needed = {
        name: choices[name][0]
        for name, field in fields.items()
        if field.default is inspect.Parameter.empty and choices[name]
    }
    seen: list[object] = []
    for name in fields:
        for choice in choices[name]:
            try:
                made = make(**{**needed, name: choice})
            except (TypeError, ValueError):  # a validator of theirs
                continue
            if made not in seen:
                seen.append(made)
                yield made


def _choices(hint: object) -> tuple[object, ...]:
    origin = get_origin(hint)
    if origin is Literal:
        return get_args(hint)
    if origin in (Union, UnionType):
        return tuple(choice for each in get_args(hint) for choice in _choices(each))
    known: dict[object, tuple[object, ...]] = {
        int: _INTEGERS,
        bool: (False, True),
        NoneType: (None,),
    }
    return known.get(hint, ())

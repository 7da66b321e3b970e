"""Every format and every framework that is built in, and what an array must be when it is back."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import jax
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from polystore import (
    Array,
    Framework,
    Item,
    Outcome,
    Store,
    Transfer,
    load,
    save,
)
from polystore.builtin import BUILTIN
from polystore.core.outcome import Failure, is_successful
from polystore.core.payload import Payload
from polystore.steps.convert import Convert

__all__ = [
    "FORMATS",
    "FRAMEWORKS",
    "HostArray",
    "Kind",
    "as_host",
    "bits",
    "has_cuda",
    "passed_through",
]

HostArray: TypeAlias = NDArray[Any]

FRAMEWORKS: dict[str, Framework[object]] = {
    entry.name: entry.load().unwrap() for entry in BUILTIN.frameworks
}


@frozen
class Kind:
    """A file of a format: its suffix, how an array becomes its payload, and what comes back.

    `given` is the framework whose arrays a load gives.
    """

    name: str
    suffix: str
    given: str = "numpy"
    in_mapping: bool = False

    def payload(self, array: Array) -> Payload:
        return {"x": array} if self.in_mapping else array

    def array(self, payload: object) -> object:
        if not self.in_mapping:
            return payload
        (array,) = cast("Mapping[str, object]", payload).values()
        return array

    def __str__(self) -> str:
        return self.name


def _kinds() -> tuple[Kind, ...]:
    given = {"pt": "torch", "jax": "jax", "cupy": "cupy", "tf": "tensorflow"}
    mappings = {"npz", "safetensors"}
    kinds = [
        Kind(
            entry.name,
            entry.key.suffixes[0],
            given.get(entry.name, "numpy"),
            entry.name in mappings,
        )
        for entry in BUILTIN.formats
    ]
    return (*kinds, Kind("pt, by names", ".pt", "torch", in_mapping=True))


FORMATS = _kinds()
"""Every built-in format; `.pt` twice, since it holds a tensor or a mapping."""


def has_cuda() -> bool:
    """Whether arrays of CuPy can be made here."""
    return importlib.util.find_spec("cupy") is not None and is_successful(
        FRAMEWORKS["cupy"].from_host(np.zeros(1, np.float32), Transfer())
    )


def as_host(value: object) -> HostArray:
    """Give an array of any framework on the host."""
    (owner,) = (framework for framework in FRAMEWORKS.values() if framework.owns(value))
    return owner.to_host(value, Transfer()).unwrap()


def bits(array: HostArray) -> tuple[object, ...]:
    """Give what must be the same: shape, dtype but for its byte order, and every bit."""
    native = array.astype(array.dtype.newbyteorder("="), order="C")
    return native.shape, native.dtype, native.tobytes()


def passed_through(
    array: HostArray, framework: str, kind: Kind, store: Store[Payload, Payload]
) -> Outcome[HostArray]:
    """Hand an array to a framework, save it, load it, and give it on the host.

    The error is the framework's, or the save's. What fails later is an exception: a file that was
    saved has to be read.
    """
    with jax.enable_x64(True):
        there = Convert[Array](framework)(Item(f"a{kind.suffix}", array))
        if not is_successful(there):
            return Failure(there.failure())
        item = there.unwrap()
        assert FRAMEWORKS[framework].owns(item.payload)
        saved = save(store, if_exists="replace")(Item(item.key, kind.payload(item.payload)))
        if not is_successful(saved):
            return Failure(saved.failure())
        loaded = kind.array(load(store)(item.key).unwrap().payload)
        assert FRAMEWORKS[kind.given].owns(loaded), type(loaded)
        return FRAMEWORKS[kind.given].to_host(loaded, Transfer())

"""`convert`: an item's array becomes an array of another framework, sharing memory where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar, overload

from attrs import frozen

from polystore.core.records import Casting, Framework

if TYPE_CHECKING:
    import cupy as cp
    import jax
    import tensorflow as tf
    import torch

    from polystore.core.item import Item
    from polystore.core.outcome import Outcome
    from polystore.core.payload import Array, HostArray, Payload

__all__ = [
    "Convert",
    "ConvertToCupy",
    "ConvertToJax",
    "ConvertToTensorflow",
    "ConvertToTorch",
    "convert",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Convert(Generic[T_co]):
    """Convert to a framework, given by its registered name or as a record. Made by `convert`."""

    to: str | Framework[T_co]
    device: str | None = None
    copy: bool | None = None
    casting: Casting = "exact"

    def __call__(self, item: Item[object, Payload], /) -> Outcome[Item[T_co, Array]]:
        """Convert the item's array, with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, item)


# These name the framework's class in the type of a method, not in a type argument: where the
# framework is not installed its class is unknown to the checkers, and pyright's strict mode would
# report every use of `Convert[<unknown>]`.
class ConvertToJax(Protocol):
    """What `convert(to="jax")` gives, as the type checkers see it: a `Convert`."""

    def __call__(self, item: Item[object, Payload], /) -> Outcome[Item[jax.Array, Array]]:
        """Convert the item's array to a `jax.Array`."""
        ...


class ConvertToTorch(Protocol):
    """What `convert(to="torch")` gives, as the type checkers see it: a `Convert`."""

    def __call__(self, item: Item[object, Payload], /) -> Outcome[Item[torch.Tensor, Array]]:
        """Convert the item's array to a `torch.Tensor`."""
        ...


class ConvertToTensorflow(Protocol):
    """What `convert(to="tensorflow")` gives, as the type checkers see it: a `Convert`."""

    def __call__(self, item: Item[object, Payload], /) -> Outcome[Item[tf.Tensor, Array]]:
        """Convert the item's array to a `tf.Tensor`."""
        ...


class ConvertToCupy(Protocol):
    """What `convert(to="cupy")` gives, as the type checkers see it: a `Convert`."""

    def __call__(self, item: Item[object, Payload], /) -> Outcome[Item[cp.ndarray, Array]]:
        """Convert the item's array to a `cupy.ndarray`."""
        ...


@overload
def convert(
    to: Literal["numpy"],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> Convert[HostArray]: ...
@overload
def convert(
    to: Literal["jax"],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> ConvertToJax: ...
@overload
def convert(
    to: Literal["torch"],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> ConvertToTorch: ...
@overload
def convert(
    to: Literal["tensorflow"],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> ConvertToTensorflow: ...
@overload
def convert(
    to: Literal["cupy"],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> ConvertToCupy: ...
@overload
def convert(
    to: Framework[T],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> Convert[T]: ...
def convert(
    to: str | Framework[object],
    device: str | None = None,
    copy: bool | None = None,
    casting: Casting = "exact",
) -> Convert[object] | ConvertToJax | ConvertToTorch | ConvertToTensorflow | ConvertToCupy:
    """Give the step that converts an item's array to a framework.

    `to` is `"numpy"`, `"torch"`, `"jax"`, `"tensorflow"`, `"cupy"`, or the record of any framework;
    `device` is in that framework's words (`"cpu"`, `"cuda:0"`), `None` for where the array is. On
    one device the array is shared, not copied, wherever both sides can; `copy=True` always copies,
    `copy=False` gives an error (`UnsupportedPayload`) where it would have to. What is shared
    changes on both sides.

    A dtype that the framework does not have gives `Lossy`, unless `casting="same_kind"` asked for
    the nearest one of the same kind (JAX without x64 holds no 64-bit numbers). `Lossy` also for a
    masked array, `UnsupportedPayload` for strings, objects, and payloads that are no arrays.

    >>> import numpy as np
    >>> from polystore import Item
    >>> item = Item("a", np.arange(3, dtype="u1"))
    >>> convert(to="numpy")(item).map(lambda item: item.payload.tolist())
    <Success: [0, 1, 2]>
    """
    return Convert(to, device, copy, casting)

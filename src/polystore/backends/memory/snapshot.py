"""Snapshots of items: copies that share nothing which can change.

An array is copied by its own framework, where it lies: one on a GPU stays there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, cast

from attrs import evolve

from polystore.core.errors import StorageError, TooLarge, UnsupportedPayload
from polystore.core.item import Item
from polystore.core.outcome import (
    Outcome,
    StorageFailure,
    catch,
    guard,
    is_successful,
    unwrap_or_raise,
)
from polystore.core.payload import (
    HostArray,
    Json,
    LazyArray,
    Payload,
    aligned_empty,
    bytes_of,
    is_host_array,
)
from polystore.core.records import Framework, Transfer
from polystore.core.table import Table
from polystore.frameworks.handover import FindOwner, hand_over, read_whole

__all__ = ["snapshot"]

_NEVER_CHANGE = frozenset((type(None), bool, int, float, complex, str, bytes))


class _Differentiable(Protocol):
    """A tensor that may have gradients, as in PyTorch."""

    @property
    def requires_grad(self) -> bool: ...
    @property
    def is_leaf(self) -> bool: ...
    def detach(self) -> object: ...
    def requires_grad_(self) -> object: ...
    def as_subclass(self, cls: type[object], /) -> _Differentiable: ...


def snapshot(item: Item[Payload], owner: FindOwner) -> Outcome[Item[Payload]]:
    """Give a copy of an item: a later change of either does not reach the other.

    - NumPy arrays keep their order, in aligned memory; subclasses stay what they are, with their
      attributes and masks. An array of a framework is copied by it, on its device.
    - A tensor keeps that it requires gradients; one that was computed with them is refused, because
      its graph, and all that hangs on it, is no part of a snapshot.
    - Lazy arrays are read. Mappings that are no plain `dict` become one if arrays are in them.
    - What cannot be copied is `UnsupportedPayload`; `TooLarge` where there is no memory for it.

    >>> from polystore import default_registry
    >>> wells = ["A01"]
    >>> kept = snapshot(Item("a.json", wells), default_registry().find_owner)
    >>> wells.append("A02")
    >>> kept.unwrap().payload
    ['A01']
    """

    def cannot(error: Exception) -> StorageError:
        kind = type(item.payload).__name__
        return UnsupportedPayload(
            item.key,
            None,
            f"This {kind} cannot be copied: {type(error).__name__}: {error}.",
            "Detach or materialise it first.",
        )

    def no_room(error: MemoryError) -> StorageError:
        return TooLarge(
            item.key,
            None,
            f"There is no memory for a copy: {error}.",
            "Free some memory, or save it to another store.",
        )

    def copied() -> Item[Payload]:
        metadata = item.metadata
        if metadata.attributes:
            attributes = cast("Mapping[str, Json]", _values_copied(metadata.attributes, owner))
            metadata = evolve(metadata, attributes=attributes)
        payload = cast("Payload", _copied(item.payload, owner))
        return Item(item.key, payload, metadata, item.history)

    # Copying runs code of the payload's own (`__deepcopy__`), which may raise anything.
    return guard(
        copied,
        catch(StorageFailure, lambda refused: refused.error),
        catch(MemoryError, no_room),
        catch(Exception, cannot),
    )


def _copied(value: object, owner: FindOwner) -> object:
    """Give a copy; raise `StorageFailure` or anything else if there is none."""
    kind = type(value)
    if kind in _NEVER_CHANGE:
        return value
    if kind is list:
        return [_copied(each, owner) for each in cast("list[object]", value)]
    if kind is tuple:
        return tuple([_copied(each, owner) for each in cast("tuple[object, ...]", value)])
    if is_host_array(value):
        return _array_copied(value)
    if isinstance(value, Mapping):
        return _mapping_copied(cast("Mapping[str, object]", value), owner)
    if isinstance(value, LazyArray):
        return _copied(unwrap_or_raise(read_whole(value)), owner)
    return _other_copied(value, owner)


def _mapping_copied(values: Mapping[str, object], owner: FindOwner) -> object:
    plain = type(values) in (dict, MappingProxyType)
    if plain or any(_is_array(each, owner) for each in values.values()):
        return _values_copied(values, owner)
    return copy.deepcopy(values)


def _values_copied(values: Mapping[str, object], owner: FindOwner) -> dict[str, object]:
    return {name: _copied(value, owner) for name, value in values.items()}


def _is_array(value: object, owner: FindOwner) -> bool:
    return is_host_array(value) or isinstance(value, LazyArray) or is_successful(owner(value))


def _other_copied(value: object, owner: FindOwner) -> object:
    import numpy as np

    if type(value) is Table:
        columns = _values_copied(value.columns, owner)
        return Table(cast("Mapping[str, HostArray]", columns))
    if isinstance(value, cast("type[object]", np.generic)):  # its framework would make it an array
        return copy.deepcopy(value)
    found = owner(value)
    if is_successful(found):
        return _owned_copied(value, found.unwrap(), owner)
    if hasattr(type(value), "__dlpack__"):  # `__deepcopy__` of such a one may share its memory
        raise StorageFailure(found.failure())
    return copy.deepcopy(value)


def _owned_copied(array: object, framework: Framework[object], owner: FindOwner) -> object:
    """Copy an array by its framework, and give it what the framework's copy loses."""
    tensor = cast("_Differentiable", array)
    learns = getattr(array, "requires_grad", False) is True
    if learns and not tensor.is_leaf:
        raise StorageFailure(_computed(array))
    plain = tensor.detach() if learns else array
    fresh = unwrap_or_raise(hand_over(plain, framework, Transfer(copy=True), owner))
    if type(fresh) is not type(array) and hasattr(array, "as_subclass"):  # torch.nn.Parameter
        fresh = cast("_Differentiable", fresh).as_subclass(type(array))
    return cast("_Differentiable", fresh).requires_grad_() if learns else fresh


def _computed(tensor: object) -> UnsupportedPayload:
    return UnsupportedPayload(
        "",
        None,
        f"This {type(tensor).__name__} was computed with gradients, and a snapshot has no graph.",
        "Detach it first: apply(torch.Tensor.detach).",
    )


def _array_copied(array: HostArray) -> HostArray:
    """Copy an array into aligned memory, which JAX can share, in the order that it has."""
    import numpy as np

    flags = array.flags
    if type(array) is not np.ndarray:
        return _subclass_copied(array)
    if array.dtype.hasobject or not (flags.c_contiguous or flags.f_contiguous):
        return copy.deepcopy(array)
    if not flags.c_contiguous:
        return _array_copied(array.T).T
    fresh = aligned_empty(array.shape, array.dtype)
    if array.nbytes:
        bytes_of(fresh)[:] = bytes_of(array)
    return fresh


def _subclass_copied(array: HostArray) -> HostArray:
    """Copy an array of a subclass: NumPy shares its attributes with the copy, or forgets them."""
    import numpy as np

    fresh = copy.deepcopy(array)
    if type(array).__deepcopy__ is np.ndarray.__deepcopy__ and hasattr(fresh, "__dict__"):
        vars(fresh).update(copy.deepcopy({**vars(array), **vars(fresh)}))
    return fresh

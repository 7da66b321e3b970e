"""JAX: arrays share aligned host memory, and never lose bits for want of x64."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, cast

from polystore.core.dtypes import PLAIN_DTYPES
from polystore.core.errors import Lossy, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import ALIGNMENT
from polystore.core.records import Casting, Framework, Transfer
from polystore.frameworks.sharing import (
    as_held,
    attempt,
    exports,
    nearest,
    no_device,
    no_dtype,
    own_copy,
    would_copy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import jax
    import numpy as np

    from polystore.core.payload import HostArray

__all__ = ["JAX"]

_DLPACK_HOST = (1, 3)
"""DLPack's `kDLCPU` and `kDLCUDAHost`: memory that the host reads."""


class _Device(Protocol):
    @property
    def platform(self) -> str: ...


class _Dlpack(Protocol):
    def from_dlpack(self, array: object, device: _Device | None = None) -> jax.Array: ...


class _Jax(Protocol):
    """The functions of `jax` whose own annotations leave a type unknown."""

    @property
    def dlpack(self) -> _Dlpack: ...
    def device_put(self, array: object, device: _Device) -> jax.Array: ...
    def local_devices(self, *, backend: str | None = None) -> list[_Device]: ...


class _OnDevice(Protocol):
    """Another framework's array, as far as its hand-over to JAX asks."""

    @property
    def dtype(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


def _jax() -> _Jax:
    import jax

    return cast("_Jax", jax)


def _owns(value: object) -> bool:
    return isinstance(value, getattr(sys.modules.get("jax"), "Array", ()))


def _to_host(array: jax.Array, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give the array as a NumPy array: read-only where it shares JAX's memory, as on the CPU."""
    import numpy as np

    refused = _unreadable(array)
    if refused is not None:
        return Failure(refused)
    on_cpu = all(device.platform == "cpu" for device in array.devices())
    if transfer.copy is False and not on_cpu:
        return Failure(would_copy("it lies on a device"))
    host: Outcome[HostArray] = attempt(lambda: np.asarray(array), "NumPy")
    if transfer.copy:
        return and_then(host, lambda it: own_copy(it, it.dtype))
    if transfer.copy is False and is_successful(host) and not _shares(array, host.unwrap()):
        return Failure(would_copy("it has several shards, or is not stored as NumPy does it"))
    return host


def _unreadable(array: jax.Array) -> UnsupportedPayload | None:
    """Give why the elements cannot be read, or `None` if they can."""
    import jax

    if _is_traced(array):
        return _traced()
    if array.is_deleted():
        return _deleted()
    if jax.numpy.issubdtype(array.dtype, jax.dtypes.extended):
        advice = "Convert its integers: jax.random.key_data(array)."
        return _odd(f"has the dtype {array.dtype}, which only JAX has", advice)
    if not array.is_fully_addressable:
        advice = "Gather it first: jax.experimental.multihost_utils.process_allgather(array)."
        return _odd("has shards in other processes", advice)
    return None


def _is_traced(array: object) -> bool:
    from jax.core import Tracer

    return isinstance(array, Tracer)


def _traced() -> UnsupportedPayload:
    advice = "Convert outside of jax.jit, grad and vmap, or with jax.pure_callback."
    return _odd("is being traced, and has no elements yet", advice)


def _deleted() -> UnsupportedPayload:
    return _odd("was deleted, or donated to a function", "Convert it before that, or copy it.")


def _odd(what: str, advice: str) -> UnsupportedPayload:
    return UnsupportedPayload("", None, f"The JAX array {what}.", advice)


def _shares(array: jax.Array, host: HostArray) -> bool:
    """Whether the host array is the memory of the JAX array; an empty one has none to share."""
    shards = (shard.data for shard in array.addressable_shards)
    return not host.nbytes or any(
        shard.unsafe_buffer_pointer() == host.ctypes.data for shard in shards
    )


def _from_host(array: HostArray, transfer: Transfer, /) -> Outcome[jax.Array]:
    """Give the array as a JAX array, sharing its memory where that is aligned and compact."""
    dtype = _held(array.dtype, transfer.casting)
    device = _default_device() if transfer.device is None else _device(transfer.device)
    if not is_successful(dtype):
        return Failure(dtype.failure())
    if not is_successful(device):
        return Failure(device.failure())
    held, there = dtype.unwrap(), device.unwrap()
    if there.platform != "cpu":
        if transfer.copy is False:
            return Failure(would_copy("it is in host memory"))
        memory = as_held(array, held, None, fits=array.flags.c_contiguous)
        return and_then(memory, lambda it: _put(it, there))
    # Unaligned memory is not offered: JAX copies it too, in three times our time.
    aligned = array.ctypes.data % ALIGNMENT == 0
    if transfer.copy is not True and array.dtype == held and aligned:
        shared = _shared(array, there)
        if is_successful(shared) and (transfer.copy is None or _shares(shared.unwrap(), array)):
            return shared
    memory = as_held(array, held, transfer.copy, fits=False)
    return and_then(memory, lambda it: _put(it, there))


def _held(dtype: np.dtype[Any], casting: Casting) -> Outcome[np.dtype[Any]]:
    import jax

    native = nearest(dtype, casting)
    # Dtypes that another package registered with NumPy are those of ml_dtypes, which JAX has too.
    if native.name not in PLAIN_DTYPES and native.isbuiltin != 2:
        return Failure(no_dtype("JAX", dtype))
    held = jax.dtypes.canonicalize_dtype(native)
    if held == native or casting == "same_kind":
        return Success(held)
    return Failure(
        Lossy(
            "",
            None,
            f"JAX would make {held} of {native} without a word, because its x64 mode is off.",
            "Turn it on with jax.config.update('jax_enable_x64', True), or allow values to wrap "
            "and round with casting='same_kind'.",
        )
    )


def _shared(array: HostArray, device: _Device) -> Outcome[jax.Array]:
    """Give the array as JAX takes it without being told to copy.

    `device_put` shares C order, read-only memory and every dtype; DLPack shares the other orders.
    """
    if array.flags.c_contiguous:
        return _put(array, device)
    return attempt(lambda: _jax().dlpack.from_dlpack(array, device), "JAX")


def _put(array: HostArray | jax.Array, device: _Device) -> Outcome[jax.Array]:
    # Without the wait, JAX may still be reading an array that its owner goes on to change.
    return attempt(lambda: _jax().device_put(array, device).block_until_ready(), "JAX")


def _from_dlpack(array: object, transfer: Transfer, /) -> Outcome[jax.Array]:
    """Give another framework's array, on the device where it is, without the host.

    Arrays in host memory go through the host (there `_from_host` shares as much), and so does what
    DLPack does not say: PyTorch exports a negative not yet computed with its sign lost.
    """
    source = cast("_OnDevice", array)
    # Asked within: TensorFlow's ragged and symbolic tensors have no such method.
    found = attempt(lambda: source.__dlpack_device__()[0], "JAX")
    if not is_successful(found):
        return Failure(found.failure())
    lazy = any(getattr(array, name, bool)() for name in ("is_neg", "is_conj"))
    if lazy or found.unwrap() in _DLPACK_HOST or not exports(array):
        return Failure(_odd("is made through the host", "Use from_host."))
    return and_then(_imported(source), lambda it: _place(it, transfer))


def _imported(array: _OnDevice) -> Outcome[jax.Array]:
    # PyTorch exports no tensor that requires gradients, only its memory.
    detach: Callable[[], object] = getattr(array, "detach", lambda: array)
    found = attempt(lambda: _jax().dlpack.from_dlpack(detach()), "JAX")
    if is_successful(found) and found.unwrap().dtype.name not in str(array.dtype):
        return Failure(_odd("would have another dtype", "Use from_host, which knows the rules."))
    return found


def _place(array: jax.Array, transfer: Transfer, /) -> Outcome[jax.Array]:
    """Give the array on one device, copied if asked; a traced or sharded one too where it is."""
    traced = _is_traced(array)
    if traced and (transfer.device is not None or transfer.copy):
        return Failure(_traced())
    if not traced and array.is_deleted():
        return Failure(_deleted())
    word = transfer.device
    device: Outcome[_Device | None] = Success(None) if word is None else _device(word)
    return and_then(device, lambda there: _placed(array, there, transfer.copy))


def _placed(array: jax.Array, there: _Device | None, copy: bool | None) -> Outcome[jax.Array]:
    if there is None or array.devices() == {there}:
        # As in _put: until it has waited, the copy may still be unmade.
        return attempt(lambda: array.copy().block_until_ready(), "JAX") if copy else Success(array)
    if copy is False:
        return Failure(would_copy(f"it lies on {', '.join(map(str, array.devices()))}"))
    return _put(array, there)


def _default_device() -> Outcome[_Device]:
    """Give the host's own device, or JAX's first one where it was told to have none on the host."""
    host = _device("cpu")
    return host if is_successful(host) else Success(_jax().local_devices()[0])


def _device(word: str) -> Outcome[_Device]:
    platform, colon, index = word.partition(":")
    devices = _devices(platform)
    number = int(index) if index.isdecimal() else -1 if colon else 0
    if 0 <= number < len(devices):
        return Success(devices[number])
    known = (f"{kind}:{i}" for kind in ("cpu", "gpu", "tpu") for i in range(len(_devices(kind))))
    return Failure(no_device("JAX", word, known))


def _devices(platform: str) -> list[_Device]:
    if not platform:
        return []
    return attempt(lambda: _jax().local_devices(backend=platform), "JAX").value_or([])


JAX: Framework[jax.Array] = Framework(
    name="jax",
    owns=_owns,
    to_host=_to_host,
    from_host=_from_host,
    from_dlpack=_from_dlpack,
    place=_place,
)
"""The record of JAX.

- On the CPU, memory that begins at a multiple of 64 bytes and is compact is shared with NumPy and
  PyTorch; all that polystore allocates does. Other memory is copied, once.
- JAX takes its arrays to be immutable: don't write to what one shares, or ask for a copy. JAX
  itself never writes to shared memory, also where the array is donated. NumPy gets it read-only.
- With JAX's x64 mode off, 64-bit numbers are `Lossy`. Under `casting="same_kind"` NumPy casts them
  to 32 bits: integers wrap, floats round and overflow to infinity.
- bfloat16, float8 and the integers of 1, 2 and 4 bits go to and from `ml_dtypes` arrays.
- `device` is `"cpu"`, `"cpu:1"`, `"gpu:0"`, `"cuda:0"`, counted among the devices of this process;
  `None` is where the array is. Shards on several devices are gathered for the host.
- `UnsupportedPayload`: strings, objects, datetimes, structured dtypes, longdouble (unless
  `casting="same_kind"`), random keys; arrays that are deleted, donated or being traced.
"""

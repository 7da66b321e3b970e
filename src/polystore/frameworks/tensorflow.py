"""TensorFlow: eager tensors share aligned host memory, and are read as they lie."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, Protocol, cast

from polystore.core.dtypes import PLAIN_DTYPES, QUANTISED, numpy_dtype
from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard, is_successful
from polystore.core.payload import ALIGNMENT, HostArray
from polystore.core.records import Casting, Framework, Transfer
from polystore.frameworks.sharing import (
    as_held,
    attempt,
    nearest,
    no_device,
    no_dtype,
    own_copy,
    would_copy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    import numpy as np
    import tensorflow as tf

    T = TypeVar("T")

__all__ = ["TENSORFLOW"]

_DLPACK_HOST = (1, 3)
"""DLPack's `kDLCPU` and `kDLCUDAHost`: memory that the host reads."""

_ONLY_COPIED = frozenset(
    (
        *("float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2"),
        *("float8_e5m2fnuz", "float4_e2m1fn", "int2", "int4", "uint2", "uint4"),
    )
)
"""Dtypes of `ml_dtypes` that TensorFlow has under the same name, and takes no memory of."""

_MORE = ("Variable", "RaggedTensor", "SparseTensor", "IndexedSlices")
"""Classes that stand for tensors and are none."""


class _Device(Protocol):
    @property
    def name(self) -> str: ...


class _Errors(Protocol):
    @property
    def OpError(self) -> type[Exception]: ...  # noqa: N802 - TensorFlow's name


class _Config(Protocol):
    def list_logical_devices(self) -> list[_Device]: ...


class _Dlpack(Protocol):
    def from_dlpack(self, capsule: object, /) -> tf.Tensor: ...


class _Experimental(Protocol):
    @property
    def dlpack(self) -> _Dlpack: ...


class _TensorFlow(Protocol):
    """The functions of `tensorflow` that its stubs lack, or leave a type unknown in."""

    @property
    def config(self) -> _Config: ...
    @property
    def errors(self) -> _Errors: ...
    @property
    def experimental(self) -> _Experimental: ...
    def bitcast(self, tensor: tf.Tensor, type: str, /) -> tf.Tensor: ...
    def convert_to_tensor(self, value: object, dtype: str | None = None, /) -> tf.Tensor: ...
    def device(self, name: str, /) -> AbstractContextManager[object]: ...
    def identity(self, tensor: tf.Tensor, /) -> tf.Tensor: ...
    def init_scope(self) -> AbstractContextManager[object]: ...
    def is_symbolic_tensor(self, value: object, /) -> bool: ...


class _Eager(Protocol):
    """A tensor that has elements: what the stubs don't say of it."""

    @property
    def backing_device(self) -> str: ...
    @property
    def shape(self) -> Iterable[int]: ...


class _OnDevice(Protocol):
    """Another framework's array, as far as its hand-over to TensorFlow asks."""

    @property
    def dtype(self) -> object: ...
    def __dlpack__(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


def _tf() -> _TensorFlow:
    import tensorflow as tf

    return cast("_TensorFlow", tf)


def _owns(value: object) -> bool:
    module = sys.modules.get("tensorflow")
    # While another thread imports TensorFlow, the module is there and its classes are not yet.
    return isinstance(value, tuple(getattr(module, name, ()) for name in ("Tensor", *_MORE)))


def _attempt(action: Callable[[], T]) -> Outcome[T]:
    """Give what the action gives, or as `UnsupportedPayload` what TensorFlow raises to decline."""

    def declined(error: Exception) -> StorageError:
        return _odd(f"is not taken: {str(error).splitlines()[0]}", "Make it plain, on a device.")

    # Its own errors are no subclasses of those that other frameworks raise.
    own = catch(_tf().errors.OpError, declined)
    found = guard(lambda: attempt(action, "TensorFlow"), own)
    return and_then(found, lambda it: it)


def _odd(what: str, advice: str) -> UnsupportedPayload:
    return UnsupportedPayload("", None, f"The tensor {what}.", advice)


def _plain(value: object) -> Outcome[tf.Tensor]:
    """Give the value as one tensor with elements: a variable's present value, for one."""
    import tensorflow as tf

    if isinstance(value, tf.Variable):
        return and_then(_attempt(lambda: _tf().convert_to_tensor(value)), _plain)
    if not isinstance(value, tf.Tensor):
        kind = type(value).__name__
        to_dense = {"RaggedTensor": "ragged.to_tensor()", "SparseTensor": "tf.sparse.to_dense(it)"}
        advice = f"Make it dense: {to_dense.get(kind, 'tf.convert_to_tensor(it)')}."
        return Failure(_odd(f"is a {kind}, which is several tensors", advice))
    if _tf().is_symbolic_tensor(value):
        return Failure(_symbolic())
    name = value.dtype.name
    if name in ("resource", "variant"):
        advice = "Convert what it stands for: the variable, or the elements of the dataset."
        return Failure(_odd(f"has the dtype {name}, whose elements only TensorFlow reads", advice))
    return Success(value)


def _symbolic() -> UnsupportedPayload:
    advice = "Convert outside of tf.function and Keras models, or with tf.py_function."
    return _odd("is symbolic, and has no elements yet", advice)


def _to_host(tensor: tf.Tensor, transfer: Transfer, /) -> Outcome[HostArray]:
    """Give the tensor as a NumPy array: read-only where it shares TensorFlow's memory."""
    return and_then(_plain(tensor), lambda it: _read(it, transfer.copy))


def _read(tensor: tf.Tensor, copy: bool | None) -> Outcome[HostArray]:
    import numpy as np

    name = tensor.dtype.name
    if name == "string":
        if copy is False:
            return Failure(would_copy("NumPy holds its strings as Python's bytes"))
        return _attempt(lambda: np.array(tensor.numpy(), object))
    on_cpu = _device_of(tensor).startswith("cpu:")
    if copy is False and not on_cpu:
        return Failure(would_copy("it lies on a device"))
    here: Outcome[tf.Tensor] = Success(tensor) if on_cpu else _moved(tensor, "cpu:0")
    host = and_then(here, lambda it: _attempt(lambda: _memory(it, name)))
    return and_then(host, lambda it: own_copy(it, it.dtype)) if copy and on_cpu else host


def _memory(tensor: tf.Tensor, name: str) -> HostArray:
    """Give an array over the memory of a tensor on the CPU."""
    import numpy as np

    content = np.frombuffer(cast("memoryview", tensor), np.uint8)
    return content.view(numpy_dtype(name)).reshape(tuple(cast("_Eager", tensor).shape))


def _from_host(array: HostArray, transfer: Transfer, /) -> Outcome[tf.Tensor]:
    """Give the array as a tensor, sharing its memory where that is aligned and in C order."""
    dtype = _held(array, transfer.casting)
    device = _device("cpu:0" if transfer.device is None else transfer.device)
    if not is_successful(dtype):
        return Failure(dtype.failure())
    if not is_successful(device):
        return Failure(device.failure())
    held, there = dtype.unwrap(), device.unwrap()
    if transfer.copy is False and there != "cpu:0":
        return Failure(would_copy("it is in host memory"))
    name = held.names[0] if held.names else held.name
    if held.hasobject or name in _ONLY_COPIED:
        if transfer.copy is False:
            return Failure(would_copy("TensorFlow shares no strings, and no such small numbers"))
        # TensorFlow copies it in any case.
        memory = as_held(array, held, None, fits=array.flags.c_contiguous)
        made = and_then(memory, lambda it: _attempt(lambda: _copied(it)))
    else:
        copy = transfer.copy if there == "cpu:0" else None
        memory = as_held(array, held, copy, fits=_fits(array))
        made = and_then(memory, lambda it: _attempt(lambda: _shared(it, name)))
    return made if there == "cpu:0" else and_then(made, lambda it: _moved(it, there))


def _held(array: HostArray, casting: Casting) -> Outcome[np.dtype[Any]]:
    native = nearest(array.dtype, casting)
    if native.kind == "O" and all(type(element) is bytes for element in array.flat):
        return Success(native)
    if native.name in PLAIN_DTYPES or native.name in _ONLY_COPIED or native.name == "bfloat16":
        return Success(native)
    if native.names and native.names[0] in QUANTISED and native == numpy_dtype(native.names[0]):
        return Success(native)
    if native.kind in "SU":
        advice = "Make it an array of bytes objects first: array.astype('S').astype(object)."
        return Failure(
            UnsupportedPayload("", None, f"TensorFlow has no dtype {array.dtype}.", advice)
        )
    return Failure(no_dtype("TensorFlow", array.dtype))


def _fits(array: HostArray) -> bool:
    """Whether a tensor can have this memory.

    TensorFlow takes memory of any alignment by DLPack, and aborts the process at the first
    operation on it, even where it is empty.
    """
    return array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0


class _Lent:
    """The memory of an array as if it were writable, which DLPack wants of it.

    TensorFlow does not write to it: its tensors are immutable, and it reuses no memory that it does
    not own.
    """

    __slots__ = ("__array_interface__", "_array")

    def __init__(self, array: HostArray) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (array.ctypes.data, False)
        self.__array_interface__ = interface
        self._array = array  # which keeps the memory


def _shared(array: HostArray, name: str) -> tf.Tensor:
    """Give a tensor over the memory of the array, which is aligned and in C order."""
    import numpy as np

    carrier = "uint16" if name == "bfloat16" else QUANTISED.get(name, name)
    # By name also where it is plain: `ulonglong` equals uint64 and is none to DLPack.
    carried = array.view(np.dtype(carrier))
    capsule = np.asarray(carried if carried.flags.writeable else _Lent(carried)).__dlpack__()
    tensor = _tf().experimental.dlpack.from_dlpack(capsule)
    if carrier == name:
        return tensor
    with _here("cpu:0"):
        return _tf().bitcast(tensor, name)


def _copied(array: HostArray) -> tf.Tensor:
    with _here("cpu:0"):
        return _tf().convert_to_tensor(array, "string" if array.dtype.hasobject else None)


def _here(device: str) -> AbstractContextManager[object]:
    """Give the context in which an operation has elements, also inside tf.function."""
    stack = ExitStack()
    stack.enter_context(_tf().init_scope())
    stack.enter_context(_tf().device(device))
    return stack


def _from_dlpack(array: object, transfer: Transfer, /) -> Outcome[tf.Tensor]:
    """Give another framework's array, on the device where it is, without the host.

    Arrays in host memory go through the host: there `_from_host` shares as much, and only there is
    it known what TensorFlow can have. On a device it takes C order, and aligned memory.
    """
    source = cast("_OnDevice", array)
    found = attempt(lambda: source.__dlpack_device__()[0], "TensorFlow")
    if not is_successful(found):
        return Failure(found.failure())
    lazy = any(getattr(array, name, bool)() for name in ("is_neg", "is_conj"))
    if lazy or found.unwrap() in _DLPACK_HOST:
        return Failure(_odd("is made through the host", "Use from_host."))
    imported = _attempt(lambda: _imported(source))
    return and_then(and_then(imported, lambda it: it), lambda it: _place(it, transfer))


def _imported(array: _OnDevice) -> Outcome[tf.Tensor]:
    # PyTorch exports no tensor that requires gradients, only its memory.
    source = cast("_OnDevice", getattr(array, "detach", lambda: array)())
    described: object = getattr(source, "__cuda_array_interface__", None)
    layout = cast("dict[str, object]", described) if isinstance(described, dict) else {}
    address = cast("tuple[int, bool]", layout.get("data", (1, False)))[0]
    if layout.get("strides") is not None or address % ALIGNMENT:
        return Failure(_odd("would be neither aligned nor in C order", "Use from_host."))
    _finish(source)
    tensor = _tf().experimental.dlpack.from_dlpack(source.__dlpack__())
    if tensor.dtype.name not in str(array.dtype):
        return Failure(_odd("would have another dtype", "Use from_host, which knows the rules."))
    return Success(tensor)


def _finish(array: object) -> None:
    """Wait until the array is computed: TensorFlow has streams of its own."""
    device: object = getattr(array, "device", None)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        torch.cuda.synchronize(device)
    for owner, wait in ((array, "block_until_ready"), (device, "synchronize")):  # JAX, CuPy
        getattr(owner, wait, bool)()


def _place(tensor: tf.Tensor, transfer: Transfer, /) -> Outcome[tf.Tensor]:
    """Give the tensor on the device, copied if asked; a symbolic one too where it is."""
    import tensorflow as tf

    free = transfer.device is None and not transfer.copy
    if free and isinstance(cast("object", tensor), tf.Tensor):
        return Success(tensor)
    plain = _plain(tensor)
    word = transfer.device
    device: Outcome[str | None] = Success(None) if word is None else _device(word)
    if not is_successful(plain):
        return plain
    return and_then(device, lambda there: _placed(plain.unwrap(), there, transfer.copy))


def _placed(tensor: tf.Tensor, there: str | None, copy: bool | None) -> Outcome[tf.Tensor]:
    here = _device_of(tensor)
    if there is not None and there != here:
        return Failure(would_copy(f"it lies on {here}")) if copy is False else _moved(tensor, there)
    if not copy:
        return Success(tensor)
    # `tf.identity` shares on the same device.
    asked = Transfer(device=here, copy=True)
    return and_then(_read(tensor, None), lambda host: _from_host(host, asked))


def _moved(tensor: tf.Tensor, device: str) -> Outcome[tf.Tensor]:
    def moved() -> tf.Tensor:
        with _here(device):
            return _tf().identity(tensor)

    return _attempt(moved)


def _device_of(tensor: tf.Tensor) -> str:
    return _short(cast("_Eager", tensor).backing_device)


def _short(name: str) -> str:
    """Give TensorFlow's full name of a device (`/job:…/device:GPU:0`) as its short word."""
    return name.rpartition("device:")[2].lower()


def _device(word: str) -> Outcome[str]:
    if word in ("cpu", "cpu:0"):
        return Success("cpu:0")
    known = list(_devices())
    for device in (word, f"{word}:0"):
        if device in known:
            return Success(device)
    return Failure(no_device("TensorFlow", word, known))


def _devices() -> Iterable[str]:
    return (_short(device.name) for device in _tf().config.list_logical_devices())


TENSORFLOW: Framework[tf.Tensor] = Framework(
    name="tensorflow",
    owns=_owns,
    to_host=_to_host,
    from_host=_from_host,
    from_dlpack=_from_dlpack,
    place=_place,
)
"""The record of TensorFlow: its eager tensors.

- On the CPU, memory that begins at a multiple of 64 bytes and is in C order is shared with NumPy,
  PyTorch and JAX, read-only memory too; all that polystore allocates does. A write to it shows in
  the tensor. Other memory is copied, once. NumPy gets a tensor's memory read-only.
- bfloat16 is shared too. float8, float4 and the integers of 2 and 4 bits go to and from `ml_dtypes`
  arrays, and are copied: TensorFlow takes no memory of them.
- `tf.string` is an array of Python's `bytes` objects, always copied. Fixed-width strings are
  `UnsupportedPayload`, because they would come back as objects.
- The quantised dtypes (`qint8`) are records of one field of that name, as in TensorFlow's own
  `as_numpy_dtype`, with the same bits.
- A `tf.Variable` is read: what is given is its present value, which later assignments don't change.
- `device` is `"cpu"`, `"gpu"`, `"gpu:1"`, `"tpu:0"`; `None` is where the array is.
- `UnsupportedPayload`: datetimes, other objects and records, longdouble (unless
  `casting="same_kind"`: then as float64), ragged and sparse tensors, symbolic ones (inside
  `tf.function`), and the dtypes `resource` and `variant`.
"""

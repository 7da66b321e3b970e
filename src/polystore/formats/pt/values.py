"""What stands in the pickle of a `.pt`: tensors, storages, names, and what is none of them.

The functions that PyTorch's pickles call are here what they make of their arguments: values. None
of PyTorch's own is looked up or called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from attrs import frozen

__all__ = [
    "CALLS",
    "OTHERS",
    "STORAGES",
    "Arguments",
    "Claim",
    "Name",
    "NotTensorsError",
    "Other",
    "Storage",
    "code_named",
    "described",
]


@frozen(eq=False)
class Storage:
    """A file of elements: its name below `data/`, what they are (`None`: bytes), and how many."""

    key: str
    dtype: str | None
    length: int


@frozen(eq=False)
class Claim:
    """A tensor as the pickle says it: offset and strides are in elements of `dtype`.

    `conjugate` and `negative` say that its values are those of the memory, conjugated or negated.
    Nothing here has been checked against the storage.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    conjugate: bool = False
    negative: bool = False


class NotTensorsError(Exception):
    """Raised for a pickle of other things; `what` is the end of the sentence "It holds …"."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@frozen(eq=False)
class Name:
    """What the file calls a function or a class: two words, never looked up."""

    name: str


@frozen(eq=False)
class Other:
    """What is known, and is no tensor: `what` is a noun with its article."""

    what: str


STORAGES: dict[str, str | None] = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.ComplexFloatStorage": "complex64",
    "torch.storage.UntypedStorage": None,
}
"""PyTorch's classes of storages, and what their elements are."""

OTHERS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor on the meta device, without data",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a subclass",
    "torch._utils._rebuild_device_tensor_from_numpy": "a tensor of a device without storages",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "a tensor of a device without storages",
    "torch._utils._rebuild_parameter_with_state": "a parameter with attributes",
    "torch._tensor._rebuild_from_type_v2": "a tensor of a subclass, or with attributes",
    "torch.serialization._get_layout": "a layout",
    "torch.Size": "a shape",
    "torch.device": "a device",
    "collections.Counter": "a Counter",
    "_codecs.encode": "bytes",
    "__builtin__.bytearray": "bytes",
    "__builtin__.set": "a set",
    "__builtin__.complex": "a number",
}
"""What `weights_only=True` would make, and is no tensor with memory of its own."""

Arguments: TypeAlias = "tuple[object, ...]"
"""Of a call in a pickle."""


def _tensor_v2(arguments: Arguments) -> Claim:
    """Give the tensor of `torch._utils._rebuild_tensor_v2(...)`."""
    storage = arguments[0]
    if not isinstance(storage, Storage) or len(arguments) not in (6, 7):
        raise ValueError("a tensor in it has other fields than tensors have")
    return _claim(arguments, storage.dtype or "uint8", *arguments[6:])


def _tensor_v3(arguments: Arguments) -> Claim:
    """Give the tensor of `torch._utils._rebuild_tensor_v3(...)`, whose storage is bytes."""
    if len(arguments) not in (7, 8) or not isinstance(arguments[6], Name):
        raise ValueError("a tensor in it has other fields than tensors have")
    return _claim(arguments, arguments[6].name.removeprefix("torch."), *arguments[7:])


def _claim(arguments: Arguments, dtype: str, bits: object = None) -> Claim:
    # What follows are `requires_grad` and the hooks: of no meaning to the elements.
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage) or type(offset) is not int:
        raise ValueError("a tensor in it has no storage")
    lengths, steps = _integers(shape), _integers(strides)
    flags = cast("dict[object, object]", bits) if isinstance(bits, dict) else {}
    if not set(flags) <= {"conj", "neg"} or not (bits is None or isinstance(bits, dict)):
        raise ValueError("a tensor in it has metadata that no tensor has")
    conjugate, negative = flags.get("conj") is True, flags.get("neg") is True
    return Claim(storage, offset, lengths, steps, dtype, conjugate, negative)


def _integers(value: object) -> tuple[int, ...]:
    numbers = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (None,)
    # A bool is an int to Python, and no length.
    if not all(type(number) is int for number in numbers):
        raise ValueError("a tensor in it has a shape that is none")
    return cast("tuple[int, ...]", numbers)


def _parameter(arguments: Arguments) -> Claim:
    """Give the tensor of `torch._utils._rebuild_parameter(...)`."""
    if not isinstance(arguments[0], Claim):
        raise NotTensorsError(f"a parameter made of {described(arguments[0])}")
    return arguments[0]


def _ordered(arguments: Arguments) -> object:
    return Other("an OrderedDict of Python 2") if arguments else dict[object, object]()


CALLS: dict[str, Callable[[Arguments], object]] = {
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered,
}
"""What the calls that tensors need make of their arguments; `ValueError` if those are others."""


def described(value: object) -> str:
    """Say what a value of a pickle is, as the end of the sentence "It holds …".

    >>> described([1, 2]), described(None)
    ('a list', 'None')
    """
    if isinstance(value, Claim):
        return "a tensor"
    if isinstance(value, Storage):
        return "a storage without a tensor"
    if isinstance(value, Other):
        return value.what
    if isinstance(value, Name):
        return value.name if value.name.startswith("torch.") else code_named(value.name)
    if value is None or isinstance(value, bool):
        return str(value)
    words = {"dict": "a mapping", "str": "text", "bytes": "bytes", "int": "an integer"}
    kind = type(value).__name__
    return words.get(kind, f"a {kind}")


def code_named(name: str) -> str:
    """Say which code a pickle would run, as the end of the sentence "It holds …".

    >>> code_named("os.system")
    'pickled code (os.system), which is never run'
    """
    shown = name[:80] if name.isprintable() else "of an unreadable name"
    return f"pickled code ({shown}), which is never run"

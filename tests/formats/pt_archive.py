"""Archives as `torch.save` would never write them, and those that it does."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import cast

import torch
from attrs import frozen
from bytes_source import source_of

from polystore.core.errors import Corrupt, StorageError
from polystore.core.records import Limits
from polystore.formats.pt import PT_CODEC

__all__ = [
    "Call",
    "Stored",
    "archive",
    "of",
    "of_pickle",
    "pickled",
    "reason",
    "rebuild",
    "rebuilt",
    "refused",
    "torchs_own",
]

save = cast("Callable[[object, io.BytesIO], None]", torch.save)


def torchs_own(value: object) -> bytes:
    """Give the file that PyTorch writes."""
    stream = io.BytesIO()
    save(value, stream)
    return stream.getvalue()


@frozen
class Call:
    """A call in a pickle: whoever unpickles it calls the function."""

    function: Callable[..., object]
    arguments: tuple[object, ...]

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


@frozen
class Stored:
    """A storage in a pickle: its class, its name and how many elements it has."""

    kind: object
    key: str
    length: object


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        if isinstance(obj, Stored):
            return "storage", obj.kind, obj.key, "cuda:3", obj.length
        return None


def pickled(value: object) -> bytes:
    """Give the pickle of a value in which storages are `Stored`."""
    stream = io.BytesIO()
    _Pickler(stream, 2).dump(value)
    return stream.getvalue()


def rebuild(version: int) -> Callable[..., object]:
    """Give PyTorch's function that makes a tensor of a storage."""
    functions = import_module("torch._utils")
    return cast("Callable[..., object]", getattr(functions, f"_rebuild_tensor_v{version}"))


def rebuilt(length: object, offset: object, shape: object, strides: object) -> Call:
    """Give a float32 tensor over the storage `0`, of so many elements."""
    stored = Stored(torch.FloatStorage, "0", length)
    return Call(rebuild(2), (stored, offset, shape, strides, False, {}))


def archive(
    records: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED, top: str = "x/"
) -> bytes:
    """Give a ZIP file of the records, in their order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in records.items():
            file.writestr(top + name, content)
    return stream.getvalue()


def refused(content: bytes, limits: Limits = Limits()) -> StorageError:
    """Give the error with which the bytes are refused."""
    return PT_CODEC.decode(source_of(content), limits).failure()


def reason(content: bytes, limits: Limits = Limits()) -> str:
    """Give the message with which the bytes are refused as `Corrupt`."""
    error = refused(content, limits)
    assert isinstance(error, Corrupt)
    assert error.advice
    return error.message


def of_pickle(content: bytes, data: bytes = b"\0" * 16) -> bytes:
    """Give the file of a pickle and of one storage."""
    return archive({"data.pkl": content, "data/0": data})


def of(value: object, data: bytes = b"\0" * 16) -> bytes:
    """Give the file of a value as `pickled` takes it, and of one storage."""
    return of_pickle(pickled(value), data)

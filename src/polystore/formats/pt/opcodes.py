"""The pickle in a `.pt`, read as data: what it says of tensors, and nothing of it is run.

PyTorch writes a pickle that calls a few functions (`torch._utils._rebuild_tensor_v2`, …) with
storages that stand in files of their own. Here those calls are values: a name, and what it was
given. No function of the file's choice exists here, so that none can be called; memory and time are
bounded by the length of the pickle. The opcodes are those of `torch.load(weights_only=True)`.
(`pickletools.genops` is no help: it parses opcodes that PyTorch never writes, some with warnings.)
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import cast

from polystore.formats.pt.values import (
    CALLS,
    OTHERS,
    STORAGES,
    Arguments,
    Name,
    NotTensorsError,
    Other,
    Storage,
    code_named,
    described,
)

__all__ = ["unpickled"]

_STACK_MAX = 10_000
"""Values that wait at once. Python writes a mapping in batches of 1000 names and values."""

_DEPTH_MAX = 100
"""Marks that are open at once; a tensor in a mapping takes 3."""

_OPERATIONS_MAX = 2**21
"""Operations; a tensor takes some 30. Python needs two seconds for so many, whatever they are."""

_PROTOCOL = 2
"""Of the pickles of `torch.save`, and the only one that `weights_only=True` knows."""

_NO_TEXT = Other("no text")
"""The name in a mapping that stands for all those that are no text."""


class _Machine:
    """The stack, marks and memo of a pickle that is being read."""

    __slots__ = ("_below", "_content", "_position", "memo", "stack")

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self._below: list[list[object]] = []
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def take(self, count: int) -> bytes:
        """Give the next bytes."""
        end = self._position + count
        if end > len(self._content):
            raise ValueError("its pickle ends too early")
        part = self._content[self._position : end]
        self._position = end
        return part

    def byte(self) -> int:
        """Give the next byte."""
        number = self._content[self._position]
        self._position += 1
        return number

    def word(self) -> int:
        """Give the next four bytes, as an integer without a sign."""
        return int.from_bytes(self.take(4), "little")

    def line(self) -> str:
        """Give the text up to the next line end."""
        end = self._content.index(b"\n", self._position)
        text = self.take(end - self._position).decode()
        self._position += 1
        return text

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        if len(self.stack) >= _STACK_MAX:
            raise ValueError("its pickle is deeper than those of tensors")
        self.stack.append(value)

    def mark(self) -> None:
        """Begin a stack above this one."""
        if len(self._below) >= _DEPTH_MAX:
            raise ValueError("its pickle is deeper than those of tensors")
        self._below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[object]:
        """Give all since the mark, and return to the stack below."""
        values, self.stack = self.stack, self._below.pop()
        return values

    def result(self) -> object:
        """Give the only value that is left."""
        (value,) = self.stack
        if self._below:
            raise ValueError("its pickle has an open mark")
        return value


def _call(machine: _Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        raise ValueError("its pickle calls what is no function")
    name = function.name.replace("builtins.", "__builtin__.")
    if name in CALLS:
        machine.push(CALLS[name](cast("Arguments", arguments)))
    elif name in OTHERS:
        machine.push(Other(OTHERS[name]))
    else:
        raise NotTensorsError(code_named(function.name))


def _storage(machine: _Machine) -> None:
    identity = machine.stack.pop()
    fields = cast("Arguments", identity) if isinstance(identity, tuple) else ()
    if len(fields) != 5 or fields[0] != "storage" or not isinstance(fields[1], Name):
        raise ValueError("a storage in it has other fields than storages have")
    _, kind, key, _, length = fields
    if not isinstance(key, str) or type(length) is not int or length < 0:
        raise ValueError("a storage in it has other fields than storages have")
    name = cast("Name", kind).name
    if name in STORAGES:
        machine.push(Storage(key, STORAGES[name], length))
    elif name.startswith("torch.") and name.endswith("Storage"):
        # A quantised one is asked for by name alone.
        machine.push(Other(f"a {name}"))
    else:
        raise NotTensorsError(code_named(name))


def _build(machine: _Machine) -> None:
    # The attributes of a mapping or of what is no tensor: `state_dict()` keeps versions there.
    machine.stack.pop()
    if not isinstance(machine.stack[-1], dict | Other):
        raise NotTensorsError(f"{described(machine.stack[-1])} with attributes")


def _set_items(machine: _Machine, items: list[object]) -> None:
    target = machine.stack[-1]
    if isinstance(target, Other):
        return
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("its pickle puts names into what is no mapping")
    mapping = cast("dict[object, object]", target)
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Python crashes when it hashes a tuple of tuples of tuples…, and takes hours where many
        # integers have one hash. That of text cannot be foreseen.
        mapping[key if type(key) is str else _NO_TEXT] = value


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine, [key, value])


def _append(machine: _Machine, items: list[object]) -> None:
    target = machine.stack[-1]
    if isinstance(target, list):
        cast("list[object]", target).extend(items)
    elif not isinstance(target, Other):
        raise ValueError("its pickle appends to what is no list")


def _tuple(machine: _Machine, count: int) -> None:
    if len(machine.stack) < count:
        raise ValueError("its pickle has a tuple without elements")
    machine.stack[-count:] = [tuple(machine.stack[-count:])]


def _protocol(machine: _Machine) -> None:
    found = machine.byte()
    if found != _PROTOCOL:
        raise NotTensorsError(f"a pickle of protocol {found}, and PyTorch's own are of {_PROTOCOL}")


def _remember(machine: _Machine, number: int) -> None:
    machine.memo[number] = machine.stack[-1]


def _text(machine: _Machine) -> None:
    machine.push(machine.take(machine.word()).decode("utf-8", "surrogatepass"))


_BY_OPCODE: dict[bytes, Callable[[_Machine], object]] = {
    pickle.PROTO: _protocol,
    pickle.GLOBAL: lambda m: m.push(Name(f"{m.line()}.{m.line()}")),
    pickle.REDUCE: _call,
    pickle.NEWOBJ: _call,
    pickle.BUILD: _build,
    pickle.BINPERSID: _storage,
    pickle.MARK: lambda m: m.mark(),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: lambda m: _set_items(m, m.to_mark()),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.APPEND: lambda m: _append(m, [m.stack.pop()]),
    pickle.APPENDS: lambda m: _append(m, m.to_mark()),
    pickle.EMPTY_SET: lambda m: m.push(Other("a set")),
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE: lambda m: m.push(tuple(m.to_mark())),
    pickle.TUPLE1: lambda m: _tuple(m, 1),
    pickle.TUPLE2: lambda m: _tuple(m, 2),
    pickle.TUPLE3: lambda m: _tuple(m, 3),
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(int.from_bytes(m.take(4), "little", signed=True)),
    pickle.BININT1: lambda m: m.push(m.byte()),
    pickle.BININT2: lambda m: m.push(int.from_bytes(m.take(2), "little")),
    pickle.LONG1: lambda m: m.push(int.from_bytes(m.take(m.byte()), "little", signed=True)),
    pickle.BINFLOAT: lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    pickle.BINUNICODE: _text,
    pickle.SHORT_BINSTRING: lambda m: m.push(m.take(m.byte())),
    pickle.BINPUT: lambda m: _remember(m, m.byte()),
    pickle.LONG_BINPUT: lambda m: _remember(m, m.word()),
    pickle.BINGET: lambda m: m.push(m.memo[m.byte()]),
    pickle.LONG_BINGET: lambda m: m.push(m.memo[m.word()]),
}


_OPERATIONS = tuple(_BY_OPCODE.get(bytes([code])) for code in range(256))


def unpickled(content: bytes) -> object:
    r"""Give what a pickle of `torch.save` holds: `Claim`s, mappings of them, and other things.

    Nothing that it names is imported or called. `ValueError`, `LookupError` or `struct.error` for
    what is no such pickle; `NotTensorsError` for one that is made of other things.

    >>> unpickled(b"\x80\x02}X\x01\x00\x00\x00aNs.")
    {'a': None}
    >>> import os
    >>> unpickled(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00exit\x85R.")
    Traceback (most recent call last):
    polystore.formats.pt.values.NotTensorsError: pickled code (os.system), which is never run
    """
    machine = _Machine(content)
    for _ in range(_OPERATIONS_MAX):
        code = machine.byte()
        operation = _OPERATIONS[code]
        if operation is not None:
            operation(machine)
        elif code == pickle.STOP[0]:
            return machine.result()
        else:
            raise ValueError(f"its pickle has the opcode {code}, which PyTorch never writes")
    raise ValueError(f"its pickle has more than {_OPERATIONS_MAX} operations")

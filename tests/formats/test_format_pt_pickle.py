"""The pickle in a `.pt`: what is no tensor is said, code is not run, no claim is believed."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest
import torch
from bytes_source import source_of
from pt_archive import (
    Call,
    Stored,
    of,
    of_pickle,
    pickled,
    reason,
    rebuild,
    rebuilt,
    refused,
    torchs_own,
)

from polystore.core.errors import Corrupt, TooLarge
from polystore.core.outcome import is_successful
from polystore.core.records import Limits
from polystore.formats.pt import PT_CODEC
from polystore.formats.pt.opcodes import unpickled

SYSTEM = cast("Callable[..., object]", vars(os)["system"])


def quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantise = cast("Callable[..., torch.Tensor]", torch.quantize_per_tensor)
        return quantise(torch.ones(3), 0.1, 0, torch.qint8)


def with_attributes() -> torch.Tensor:
    tensor = torch.ones(2)
    vars(tensor)["well"] = "A01"
    return tensor


def complex32() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.zeros(2, dtype=torch.complex32)


OTHERS: dict[str, Callable[[], object]] = {
    "a list": lambda: [torch.ones(2)],
    "a tuple": lambda: (torch.ones(2),),
    "an integer": lambda: 3,
    "a float": lambda: 3.5,
    "text": lambda: "A01",
    "None": lambda: None,
    "True": lambda: True,
    "a set": lambda: {1},
    "bytes": lambda: b"A01",
    "a number": lambda: 3j,
    "a Counter": lambda: Counter("A01"),
    "a shape": lambda: torch.Size([2]),
    "a device": lambda: torch.device("cpu"),
    "a layout": lambda: torch.strided,
    "torch.float32": lambda: torch.float32,
    "a storage without a tensor": lambda: torch.ones(2).untyped_storage(),
    "an integer under the name 'epoch'": lambda: {"weight": torch.ones(2), "epoch": 3},
    "a mapping under the name 'state'": lambda: {"state": {0: 1}, "param_groups": [1]},
    "a mapping by other names than text": lambda: {0: torch.ones(2)},
    "a quantised tensor": quantised,
    "a sparse tensor": lambda: torch.eye(2).to_sparse(),
    "a tensor on the meta device, without data": lambda: torch.ones(2, device="meta"),
    "a tensor of a subclass, or with attributes": with_attributes,
    "a tensor of complex32": complex32,
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_is_no_tensors_is_said_to_be_what_it_is(what: str) -> None:
    message = reason(torchs_own(OTHERS[what]()))
    assert message == f"This .pt file is not made of tensors alone: it holds {what}."


@pytest.mark.parametrize("function", [SYSTEM, print, builtins.eval, getattr, torch.load])
def test_code_is_never_run(function: Callable[..., object], tmp_path: Path) -> None:
    target = tmp_path / "written"
    calls = [Call(function, (f"touch {target}",))]
    for content in (of(calls), of({"a": calls[0]}), torchs_own(calls)):
        assert "pickled code" in reason(content)
        assert "never run" in reason(content)
    assert not target.exists()
    stream = io.BytesIO(pickle.dumps(Call(SYSTEM, (f"touch {target}",)), 2))
    pickle.load(stream)  # the payload itself works
    assert target.exists()


def test_whole_models_are_code() -> None:
    message = reason(torchs_own(torch.nn.Linear(2, 2)))
    assert "pickled code (torch.nn.modules.linear.Linear)" in message


BAD_CLAIMS: dict[str, tuple[object, object, object, object]] = {
    "beyond the storage": (4, 0, (5,), (1,)),
    "an offset beyond": (4, 4, (1,), (1,)),
    "a stride beyond": (4, 0, (2,), (4,)),
    "a negative stride": (4, 3, (2,), (-1,)),
    "a negative length": (4, 0, (-2,), (1,)),
    "a negative offset": (4, -1, (2,), (1,)),
    "strides of another length": (4, 0, (2,), (1, 1)),
    "too many axes": (4, 0, (1,) * 65, (1,) * 65),
    "a length beyond 64 bits": (4, 0, (0, 2**70), (1, 1)),
    "as many elements as are beyond 64 bits": (4, 0, (2**40, 2**40, 0), (0, 0, 0)),
    "a length that is a bool": (4, 0, (True,), (1,)),
    "a length that is no number": (4, 0, ("2",), (1,)),
    "a shape that is a list": (4, 0, [2], (1,)),
    "an offset that is no number": (4, None, (2,), (1,)),
    "a storage longer than its record": (5, 0, (1,), (1,)),
    "a storage of a negative length": (-1, 0, (0,), (1,)),
    "a storage of no length": (None, 0, (1,), (1,)),
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_a_tensor_that_cannot_be_is_refused(name: str) -> None:
    assert "no whole .pt" in reason(of(rebuilt(*BAD_CLAIMS[name])))


def test_one_record_that_is_many_storages_is_refused() -> None:
    function = rebuild(2)
    kinds = (torch.FloatStorage, torch.IntStorage)
    named = {
        str(kind): Call(function, (Stored(kind, "0", 4), 0, (4,), (1,), False, {}))
        for kind in kinds
    }
    assert "two kinds" in reason(of(named))


@pytest.mark.parametrize(
    "arguments", [(), (1, 2), (Stored(torch.FloatStorage, "0", 4), 0, (4,), (1,), False, {}, 3)]
)
def test_calls_with_other_arguments_are_refused(arguments: tuple[object, ...]) -> None:
    for version in (2, 3):
        assert "no whole .pt" in reason(of(Call(rebuild(version), arguments)))


def test_a_parameter_of_no_tensor_is_refused() -> None:
    make = cast("Callable[..., object]", vars(import_module("torch._utils"))["_rebuild_parameter"])
    assert "a parameter made of text" in reason(of(Call(make, ("x", True, {}))))


HOSTILE_PICKLES: dict[str, bytes] = {
    "empty": b"",
    "no stop": b"\x80\x02}",
    "nothing left": b"\x80\x02.",
    "two left": b"\x80\x02}}.",
    "open mark": b"\x80\x02(}.",
    "pop of nothing": b"\x80\x02s.",
    "unknown memo": b"\x80\x02h\x05.",
    "text of gigabytes": b"\x80\x02X\xff\xff\xff\xffabc.",
    "no text": b"\x80\x02X\x02\0\0\0\xff\xff.",
    "a global without an end": b"\x80\x02cos",
    "a call of a number": b"\x80\x02K\x01)R.",
    "a storage of a number": b"\x80\x02K\x01Q.",
    "lists in lists": b"\x80\x02]" + b"]a" * 10**5,
    "a list in itself": b"\x80\x02]q\0h\0a.",
    "a mapping in itself": b"\x80\x02}q\0X\x01\0\0\0ah\0s.",
    "half a pair": b"\x80\x02}(Nu.",
    "attributes of text": b"\x80\x02X\x01\0\0\0a}b.",
    "the memo far away": b"\x80\x02}r\xff\xff\xff\xff(.",
    "an integer of 2040 bits": b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
}


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_a_pickle_that_is_none_is_refused(name: str) -> None:
    content = of_pickle(HOSTILE_PICKLES[name])
    tracemalloc.start()
    assert reason(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 2**20


def test_a_tuple_in_a_million_tuples_as_a_name_does_not_crash_python() -> None:
    """Python ends with a segmentation fault when it hashes one."""
    code = (
        "from polystore.formats.pt.opcodes import unpickled\n"
        "print(len(unpickled(b'\\x80\\x02})' + b'\\x85' * 10**6 + b'Ns.')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "1\n"


def test_integers_of_one_hash_as_names_take_no_longer_than_others() -> None:
    """Each would be compared with all before it: a few megabytes took hours."""
    prime = sys.hash_info.modulus
    numbers = [(number * prime).to_bytes(10, "little") for number in range(1, 5001)]
    assert len({hash(int.from_bytes(number, "little")) for number in numbers}) == 1
    names = b"".join(b"\x8a\x0a" + number + b"Ns" for number in numbers)
    found = unpickled(b"\x80\x02}" + names + b".")
    assert isinstance(found, dict)
    assert len(cast("dict[object, object]", found)) == 1
    assert "other names than text" in reason(of_pickle(b"\x80\x02}" + names + b"."))


@pytest.mark.parametrize("operation", [b"(", b"N", b"}", b"h\0"])
def test_a_stack_without_end_is_not_made(operation: bytes) -> None:
    assert "deeper" in reason(of_pickle(b"\x80\x02)q\0" + operation * 10**6))


def test_tensors_without_end_are_not_made() -> None:
    """A repeated call takes five bytes in the pickle, and half a thousand in memory."""
    call = pickled(rebuilt(4, 0, (1,), (1,)))
    # The pickle remembers the function under 0, and its arguments under 8.
    assert call.endswith(b"tq\x08Rq\x09.")
    assert call.startswith(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\0")
    first = b"\x80\x02}X\1\0\0\0a" + call[2:-1] + b"s"

    def names(count: int) -> bytes:
        calls = (b"X\6\0\0\0%06dh\0h\x08Rs" % number for number in range(count))
        return of_pickle(first + b"".join(calls) + b".")

    assert is_successful(PT_CODEC.decode(source_of(names(5)), Limits()))
    assert "tensors" in reason(names(2**16))


def test_operations_without_end_are_not_all_done() -> None:
    assert "operations" in reason(of_pickle(b"\x80\x02N" + b"q\0" * 2**21))


def test_a_pickle_larger_than_the_limit_is_not_read() -> None:
    names = {f"tensor {number}": None for number in range(40_000)}
    assert isinstance(refused(of(names), Limits(2**20)), TooLarge)
    assert isinstance(refused(of_pickle(b"N" * (16 * 2**20 + 1))), Corrupt)

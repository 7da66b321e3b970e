"""What could end the process, be logged, or be imported too early: TensorFlow in a child."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CHILD = """
import json, sys
import numpy as np
import tensorflow as tf
import torch
from polystore.core.outcome import Success, is_successful
from polystore.core.payload import aligned_empty
from polystore.core.records import Transfer
from polystore.frameworks.handover import hand_over
from polystore.frameworks.tensorflow import TENSORFLOW
from polystore.frameworks.torch import TORCH

def here(tensor):
    return tensor.backing_device[-5:]

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.zeros(1)  # TensorFlow greets at its first operation
print("-" * 8, file=sys.stderr, flush=True)

array = aligned_empty((4097,), np.dtype("f4"))
array[...] = 1
nothing = np.ndarray((0,), "f4", array, 4)
odd = (array[1:], array[4:], nothing, array[::2], array[::-1], np.ones((3, 4), "f4").T)
tensors = [TENSORFLOW.from_host(it, Transfer()).unwrap() for it in odd]
slice = hand_over(torch.ones(4097)[1:], TENSORFLOW, Transfer(), lambda _: Success(TORCH)).unwrap()
unaligned = {
    "sums": [float(tf.reduce_sum(it + 1)) for it in (*tensors, slice)],
    "shared": [is_successful(TENSORFLOW.from_host(it, Transfer(copy=False))) for it in odd],
}

arrays = [
    np.ones(3, ">f4"), np.ones((3, 4)).T, np.ones(4)[::-1], np.array([None]), np.zeros(2, "M8[s]"),
    np.zeros(2, "U3"), np.zeros(2, "longdouble"), np.zeros((0, 3)), np.zeros(()), np.zeros(2, "?"),
]
plain = (tf.ragged.constant([[1], [2, 3]]), tf.sparse.eye(2), tf.Variable(1.0).handle)
refused = [
    *(is_successful(TENSORFLOW.from_host(it, Transfer())) for it in arrays),
    *(is_successful(TENSORFLOW.to_host(it, Transfer())) for it in plain),
    is_successful(TENSORFLOW.place(tf.zeros(2), Transfer(device="gpu:9"))),
]

devices = []
for word in ("cpu", "cpu:0", "cpu:1"):
    tensor = TENSORFLOW.from_host(array[:2], Transfer(word)).unwrap()
    back = TENSORFLOW.place(tensor, Transfer("cpu:0")).unwrap()
    copied = TENSORFLOW.place(tensor, Transfer(copy=True)).unwrap()
    devices.append([
        here(tensor), here(back), here(copied),
        TENSORFLOW.to_host(tensor, Transfer()).unwrap().tolist(),
        is_successful(TENSORFLOW.place(tensor, Transfer("cpu:0", False))),
        is_successful(TENSORFLOW.from_host(array, Transfer(word, False))),
    ])
known = TENSORFLOW.place(tensor, Transfer("cpu:2")).failure().advice
print(json.dumps({**unaligned, "refused": refused, "devices": devices, "known": known}))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, object]:
    """Give what a process with two devices answers, and what it wrote to stderr."""
    run = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)
    return found | {"stderr": run.stderr.partition("-" * 8 + "\n")[2]}


def test_unaligned_memory_does_not_abort_the_process(answers: dict[str, object]) -> None:
    """TensorFlow takes it by DLPack, and aborts at the first operation, also on no elements."""
    assert answers["sums"] == [8192, 8186, 0, 4098, 8194, 24, 8192]
    assert answers["shared"] == [False] * 6


def test_nothing_is_logged_where_arrays_are_refused(answers: dict[str, object]) -> None:
    assert answers["refused"] == [True] * 3 + [False] * 4 + [True] * 3 + [False] * 4
    assert answers["stderr"] == ""


def test_devices_are_told_apart(answers: dict[str, object]) -> None:
    here = ["CPU:0", "CPU:0", "CPU:0", [1, 1], True, True]
    assert answers["devices"] == [here, here, ["CPU:1", "CPU:0", "CPU:1", [1, 1], False, False]]
    assert answers["known"] == "There is: cpu:0, cpu:1."


LEAN = """
import sys, types
from polystore import convert
from polystore.framed import TF_CODEC
from polystore.frameworks.tensorflow import TENSORFLOW

convert(to="tensorflow")
print(TENSORFLOW.owns(1), [name for name in ("tensorflow", "numpy") if name in sys.modules])
sys.modules["tensorflow"] = types.ModuleType("tensorflow")
print(TENSORFLOW.owns(1))
"""


def test_owns_imports_nothing_and_survives_an_import_under_way() -> None:
    run = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["False []", "False"]

"""The memory store does what a disk store does: the same operations have the same outcomes."""

from __future__ import annotations

import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from store_access import Op, agree

from polystore import DiskConfig, IfExists, MemoryConfig, handles

NAMES = ("a.npy", "b.npy", "a.npy/b.npy", "b.npy/a.npy", "b.npy/a.npy/a.npy", "c.npy")

names = st.sampled_from(NAMES)
modes: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
on_one = st.builds(Op, st.sampled_from(("delete", "load", "make folder")), names)
saves = st.builds(Op, st.just("save"), names, st.just(""), modes)


def on_two(name: str) -> st.SearchStrategy[Op]:
    return st.builds(Op, st.just(name), names, names, modes)


# A relative link, as on disk, leads elsewhere once it was moved; one in memory does not.
@settings(max_examples=settings().max_examples * 2)
@given(st.sampled_from(("move", "link")).flatmap(lambda it: st.lists(on_one | saves | on_two(it))))
def test_memory_agrees_with_disk(operations: list[Op]) -> None:
    with tempfile.TemporaryDirectory() as folder, handles():
        agree(DiskConfig(root=folder), MemoryConfig(name=folder), operations, NAMES)

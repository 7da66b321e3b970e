"""The Zarr store does what a disk store does: the same operations have the same outcomes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from store_access import Op, agree, delete, make_folder
from zarr_access import hidden_in

from polystore import DiskConfig, IfExists, ZarrConfig

NAMES = ("a.npy", "b.npy", "a.npy/b.npy", "b.npy/a.npy", "b.npy/a.npy/a.npy", "c.npy")

names = st.sampled_from(NAMES)
tops = st.sampled_from(("a.npy", "b.npy", "c.npy"))
modes: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
operations = (
    st.builds(Op, st.sampled_from(("delete", "load", "make folder")), names)
    | st.builds(Op, st.just("save"), names, st.just(""), modes)
    | st.builds(Op, st.just("move"), names, names, modes)
    | st.builds(Op, st.just("link by hand"), tops, tops)
)


@given(st.lists(operations))
def test_zarr_agrees_with_disk(operations: list[Op]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        disk, zarr = DiskConfig(root=f"{folder}/disk"), ZarrConfig(root=f"{folder}/zarr")
        Path(disk.root).mkdir()
        make_folder(zarr, "new").unwrap()
        delete(zarr, "new").unwrap()
        agree(disk, zarr, operations, NAMES)
        assert hidden_in(zarr) == []

"""Routes give the bytes of the files behind them, as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polystore import (
    NPY,
    DiskConfig,
    Item,
    MemoryConfig,
    NotFound,
    ReadOnlyConfig,
    Route,
    RouteConfig,
    Source,
    ZarrConfig,
    copy,
    default_dispatcher,
    load,
    move,
    save,
)


def routes_to(disk: DiskConfig, tmp_path: Path) -> dict[str, Source[object]]:
    zarr = Route(ZarrConfig(root=tmp_path / "z.zarr"), kinds=("array",))
    last, first = RouteConfig((zarr, Route(disk))), RouteConfig((Route(disk), zarr))
    return {
        "one": RouteConfig((Route(disk),)),
        "last": last,
        "first": first,
        "nested": RouteConfig((Route(MemoryConfig("texts"), ("text",)), Route(last))),
        "readonly": ReadOnlyConfig(last),
    }


@pytest.mark.parametrize("kind", ["one", "last", "first", "nested", "readonly"])
def test_a_file_is_copied_out_of_routes_bit_by_bit(kind: str, tmp_path: Path) -> None:
    disk, other = DiskConfig(root=tmp_path / "p"), DiskConfig(root=tmp_path / "out")
    (tmp_path / "p").mkdir()
    source = routes_to(disk, tmp_path)[kind]
    for key, content in (("a.bin", b"\0\1"), ("b.json", b'{"a":   1.50}')):
        (tmp_path / "p" / key).write_bytes(content)
        copy(source, key, to=other).unwrap()
        assert (tmp_path / "out" / key).read_bytes() == content
    assert isinstance(copy(source, "none.bin", to=other).failure(), NotFound)


def test_what_is_no_file_is_loaded_and_the_first_store_decides(tmp_path: Path) -> None:
    disk, other = DiskConfig(root=tmp_path / "p"), DiskConfig(root=tmp_path / "out")
    routes = RouteConfig((Route(ZarrConfig(root=tmp_path / "z.zarr"), ("array",)), Route(disk)))
    save(routes)(Item("a.npy", np.arange(3))).unwrap()
    save(disk)(Item("a.npy", np.arange(5))).unwrap()
    copy(routes, "a.npy", to=other).unwrap()
    assert load(other, format=NPY)("a.npy").unwrap().payload.tolist() == [0, 1, 2]


def test_routes_to_no_files_have_no_bytes_and_so_no_formats(tmp_path: Path) -> None:
    zarr, memory = ZarrConfig(root=tmp_path / "z.zarr"), MemoryConfig(str(tmp_path))
    routes = RouteConfig((Route(zarr, ("array",)), Route(memory)))
    for store in (routes, ReadOnlyConfig(routes)):
        assert default_dispatcher().open(store).unwrap().backend.get is None
    save(routes)(Item("a", np.arange(3))).unwrap()
    assert move(routes, "a", "a.tif").unwrap().status == "written"

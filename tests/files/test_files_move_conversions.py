"""What a conversion cannot carry is not lost by a move: it is refused, or leaves the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from polystore import (
    DiskConfig,
    Item,
    Lossy,
    MemoryConfig,
    Metadata,
    Payload,
    Route,
    RouteConfig,
    Store,
    UnsupportedOperation,
    ZarrConfig,
    list_files,
    load,
    move,
    save,
)

SINKS: dict[str, Callable[[Path], object]] = {
    "the same": lambda _: None,
    "disk": lambda folder: DiskConfig(root=folder / "other"),
    "memory": lambda folder: MemoryConfig(name=str(folder)),
    "zarr": lambda folder: ZarrConfig(root=folder / "other.zarr"),
    "route": lambda folder: RouteConfig(routes=(Route(DiskConfig(root=folder / "other")),)),
    "route to memory": lambda folder: RouteConfig(routes=(Route(MemoryConfig(str(folder))),)),
}


def as_store(config: object) -> Store[Payload, Payload]:
    """Give a config as what any payload can be in, whatever its type says."""
    return config  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    """Give a store with a TIFF of two series, of which a load gives one."""
    (tmp_path / "m").mkdir()
    with tifffile.TiffWriter(tmp_path / "m" / "two.tif") as file:
        file.write(np.zeros((4, 4), np.uint8))
        file.write(np.ones((9, 7), np.uint16))
    return DiskConfig(root=tmp_path / "m")


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("kind", SINKS)
def test_a_file_that_would_be_converted_stays(
    disk: DiskConfig, tmp_path: Path, kind: str, routed: bool
) -> None:
    source = as_store(RouteConfig(routes=(Route(disk),)) if routed else disk)
    sink = SINKS[kind](tmp_path)
    to = as_store(sink)
    before = (tmp_path / "m" / "two.tif").read_bytes()
    for if_exists in ("fail", "replace"):
        for new_key in ("two.ome.tif", "deep/two.npy"):
            error = move(source, "two.tif", new_key, to=to, if_exists=if_exists).failure()
            assert isinstance(error, UnsupportedOperation)
            assert (error.key, error.config) == ("two.tif", source)
            assert "would be converted on the way" in error.message
            assert error.advice == "Copy it, look at the copy, then delete it."
    assert (tmp_path / "m" / "two.tif").read_bytes() == before
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["two.tif"]
    if sink is not None and kind != "zarr":  # no Zarr store was made
        assert list_files(to).value_or(()) == ()
    assert not (tmp_path / "other.zarr").exists()
    assert not (tmp_path / "other").exists()


def test_what_is_moved_as_it_is_goes_as_before(disk: DiskConfig, tmp_path: Path) -> None:
    """A step within the store, and bytes between two, carry all that there is."""
    other = DiskConfig(root=tmp_path / "other")
    before = (tmp_path / "m" / "two.tif").read_bytes()
    move(disk, "two.tif", "x/2.tiff").unwrap()
    move(disk, "x/2.tiff", "two.tif", to=other).unwrap()
    assert (tmp_path / "other" / "two.tif").read_bytes() == before
    assert list_files(disk).unwrap() == ()


@pytest.mark.parametrize("kind", ["memory", "route to memory"])
def test_an_item_stays_where_its_copy_could_not_carry_all(
    disk: DiskConfig, tmp_path: Path, kind: str
) -> None:
    source = as_store(SINKS[kind](tmp_path))
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    known = Metadata(axes=("y", "x"), scale=(0.5, 0.5), attributes={"stain": "DAPI"})
    save(source)(Item("a.png", array, known)).unwrap()
    error = move(source, "a.png", to=disk).failure()
    assert isinstance(error, Lossy)
    assert (error.key, error.config) == ("a.png", source)
    assert "scale" in error.message
    assert "attributes" in error.message
    assert "copy 'a.png', which stands" in error.message
    assert load(source)("a.png").unwrap().metadata == known
    assert load(disk)("a.png").unwrap().key == "a.png"
    save(source)(Item("b.png", array)).unwrap()
    assert move(source, "b.png", to=disk).unwrap().status == "written"
    assert list_files(source).unwrap() == ("a.png",)

"""A save is skipped only where what is there was made so; else it says what differs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from polystore import (
    NPY,
    AlreadyExists,
    DiskConfig,
    HostArray,
    Item,
    KeyLike,
    OmeOptions,
    Pipeline,
    PlateNames,
    Saved,
    ZarrConfig,
    ZarrLayout,
    apply,
    compose,
    convert,
    load,
    map_blocks,
    rename,
    save,
)

ARRAY = np.arange(12, dtype="u2").reshape(3, 4)


def halved(image: HostArray) -> HostArray:
    return image // 2


def doubled(image: HostArray) -> HostArray:
    return image * 2


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    disk = DiskConfig(root=tmp_path / "raw")
    for key in ("a.npy", "b.npy"):
        save(disk)(Item(key, ARRAY)).unwrap()
    return disk


STORES: dict[str, ZarrConfig] = {
    "arrays": ZarrConfig(root="a.zarr"),
    "images": ZarrConfig(root="a.zarr", layout=ZarrLayout.IMAGE),
    "images of 0.4": ZarrConfig(
        root="a.zarr", layout=ZarrLayout.IMAGE, ome=OmeOptions(version="0.4")
    ),
    "a plate of fields": ZarrConfig(root="a.zarr", layout=ZarrLayout.PLATE),
    "a plate of files": ZarrConfig(
        root="a.zarr", layout=ZarrLayout.PLATE, names=PlateNames("{row}{column:02}_{channel}.npy")
    ),
}


@pytest.fixture(params=list(STORES))
def zarr(tmp_path: Path, request: pytest.FixtureRequest) -> ZarrConfig:
    return evolve(STORES[str(request.param)], root=tmp_path / "a.zarr")


def at(zarr: ZarrConfig) -> str:
    """Give a key of the store."""
    if zarr.names is not None:
        return "A01_1.npy"
    return "A/1/0" if zarr.layout is ZarrLayout.PLATE else "x"


def made(disk: DiskConfig, zarr: ZarrConfig) -> Pipeline[KeyLike, Saved]:
    keep = save(zarr, if_exists="skip")
    return compose(load(disk), convert(to="numpy"), apply(halved), rename(at(zarr)), keep)


def test_the_same_pipeline_skips(disk: DiskConfig, zarr: ZarrConfig) -> None:
    pipeline = made(disk, zarr)
    assert pipeline("a.npy").unwrap().status == "written"
    assert pipeline("a.npy").unwrap().status == "skipped"
    again = compose(
        load(disk, lazy=True),  # lazy or not, it is the same array
        convert(to="numpy"),
        apply(halved),
        rename(at(zarr)),
        save(zarr, if_exists="skip", options=None),
    )
    assert again("a.npy").unwrap().status == "skipped"


def test_another_pipeline_is_an_error_that_says_what_differs(
    disk: DiskConfig, zarr: ZarrConfig, tmp_path: Path
) -> None:
    made(disk, zarr)("a.npy").unwrap()
    keep = save(zarr, if_exists="skip")
    elsewhere = DiskConfig(root=tmp_path / "other")
    others: list[tuple[Pipeline[KeyLike, Saved], str, str]] = [
        (made(disk, zarr), "b.npy", "its history has the key 'a.npy', and here it is 'b.npy'"),
        (made(elsewhere, zarr), "a.npy", "other"),
        (
            compose(load(disk), convert(to="numpy"), apply(doubled), rename(at(zarr)), keep),
            "a.npy",
            'halved"}}, and here it is',
        ),
        (
            compose(load(disk, lazy=True), map_blocks(halved), rename(at(zarr)), keep),
            "a.npy",
            "map_blocks",
        ),
        (
            compose(
                load(disk, region=np.s_[:2]),
                convert(to="numpy"),
                apply(halved),
                rename(at(zarr)),
                keep,
            ),
            "a.npy",
            "region",
        ),
    ]
    for pipeline, key, words in others:
        error = pipeline(key).failure()
        assert isinstance(error, AlreadyExists)
        assert (error.key, error.config) == (at(zarr), zarr)
        assert "from another source or by other steps" in error.message
        assert words in error.message
        assert "replace" in error.advice
    assert np.array_equal(load(zarr)(at(zarr)).unwrap().payload, ARRAY // 2)


def test_a_save_of_an_item_with_a_history_asks_too(disk: DiskConfig, zarr: ZarrConfig) -> None:
    keep = save(zarr, if_exists="skip")
    loaded, other = (load(disk, format=NPY)(key).unwrap() for key in ("a.npy", "b.npy"))
    item = Item(at(zarr), loaded.payload, loaded.metadata, loaded.history)
    assert keep(item).unwrap().status == "written"
    assert keep(item).unwrap().status == "skipped"
    renamed = Item(at(zarr), other.payload, other.metadata, other.history)
    assert isinstance(keep(renamed).failure(), AlreadyExists)
    assert keep(Item(at(zarr), ARRAY)).unwrap().status == "skipped"  # nothing is known of it


def test_what_was_made_of_an_item_with_a_history_skips(
    disk: DiskConfig, zarr: ZarrConfig, tmp_path: Path
) -> None:
    """The history of the source begins earlier than what the pipeline adds."""
    made(disk, zarr)("a.npy").unwrap()
    second = evolve(zarr, root=tmp_path / "b.zarr")
    pipeline = compose(load(zarr), apply(doubled), save(second, if_exists="skip"))
    assert pipeline(at(zarr)).unwrap().status == "written"
    assert pipeline(at(zarr)).unwrap().status == "skipped"
    other = compose(load(zarr), apply(halved), save(second, if_exists="skip"))
    assert isinstance(other(at(zarr)).failure(), AlreadyExists)


def test_what_has_no_history_is_skipped(disk: DiskConfig, zarr: ZarrConfig) -> None:
    save(zarr)(Item(at(zarr), ARRAY)).unwrap()
    keep = save(zarr, if_exists="skip")
    assert (
        compose(load(disk, format=NPY), rename(at(zarr)), keep)("a.npy").unwrap().status
        == "skipped"
    )


def test_files_have_no_history_and_skip_as_ever(disk: DiskConfig, tmp_path: Path) -> None:
    sink = DiskConfig(root=tmp_path / "sink")
    keep = save(sink, if_exists="skip")
    compose(load(disk), keep)("a.npy").unwrap()
    other = compose(load(disk), convert(to="numpy"), rename("a.npy"), keep)
    assert other("b.npy").unwrap().status == "skipped"

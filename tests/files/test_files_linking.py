"""Links and mirrors of links: what they lead to is never changed by making them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from file_stores import SHELF, error_of, site_of

from polystore import (
    DiskConfig,
    Dispatcher,
    InvalidKey,
    InvalidSpec,
    Item,
    MemoryConfig,
    Place,
    ReadOnlyConfig,
    UnsupportedOperation,
    ZarrConfig,
    create_symlink,
    default_registry,
    delete,
    exists,
    is_symlink,
    list_files,
    load,
    mirror,
    save,
    stat,
)
from polystore.core.records import IfExists


@pytest.fixture
def raw(tmp_path: Path) -> DiskConfig:
    disk = DiskConfig(root=tmp_path / "raw")
    for number, key in enumerate(("a.json", "p/f10.json", "p/f2.json", "q/b.json")):
        save(disk)(Item(key, number)).unwrap()
    return disk


@pytest.fixture
def view(tmp_path: Path, raw: DiskConfig) -> DiskConfig:
    return DiskConfig(root=tmp_path / "view", links_to=(raw,))


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_link_leads_to_a_key_of_the_store(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path).with_keys("p/a.npy")
    run = site.dispatcher

    def linked(key: str, if_exists: IfExists = "fail") -> str:
        outcome = create_symlink(site.config, key, "p/a.npy", if_exists=if_exists, dispatcher=run)
        return error_of(outcome) or outcome.unwrap()

    assert linked("l.npy") == "l.npy"
    assert linked("l.npy") == "AlreadyExists"
    assert linked("l.npy", "skip") == linked("l.npy", "replace") == "l.npy"
    assert linked("x/l.npy") == "x/l.npy"
    assert linked("p") in {"AlreadyExists", "NotAFile"}
    assert linked("../l.npy") == linked("") == "InvalidKey"
    assert is_symlink(site.config, "l.npy", dispatcher=run).unwrap()
    assert site.load("l.npy").unwrap() == site.load("x/l.npy").unwrap() == len("p/a.npy")
    assert delete(site.config, "l.npy", dispatcher=run).unwrap() is None
    assert site.load("p/a.npy").unwrap() == len("p/a.npy")


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_a_link_to_itself_would_lose_what_is_there(kind: str, tmp_path: Path) -> None:
    site = site_of(kind, tmp_path).with_keys("p/a.npy")
    for target in (
        "p/a.npy",
        Place(site.config, "p/a.npy"),
        Place(ReadOnlyConfig(site.config), "p/a.npy"),
    ):
        outcome = create_symlink(
            site.config, "p/a.npy", target, if_exists="replace", dispatcher=site.dispatcher
        )
        assert isinstance(outcome.failure(), InvalidKey)
    assert site.load("p/a.npy").unwrap() == len("p/a.npy")


@pytest.mark.parametrize("kind", ["disk", "memory"])
@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_what_to_do_with_a_broken_link_in_the_way_is_said(
    kind: str, if_exists: IfExists, tmp_path: Path
) -> None:
    site = site_of(kind, tmp_path)
    create_symlink(site.config, "a.npy", "nowhere.npy", dispatcher=site.dispatcher).unwrap()
    error = site.save("a.npy", 1, if_exists).failure()
    assert type(error).__name__ == "AlreadyExists"
    assert "skip" not in error.advice
    assert "delete it" in error.advice


def test_a_link_may_lead_to_what_is_not_there_yet(tmp_path: Path) -> None:
    disk = DiskConfig(root=tmp_path)
    create_symlink(disk, "latest.json", Path("t1.json")).unwrap()
    assert stat(disk, "latest.json").unwrap().kind == "broken link"
    save(disk)(Item("t1.json", 1)).unwrap()
    assert load(disk)("latest.json").unwrap().payload == 1


def test_a_link_leads_only_where_the_config_says(raw: DiskConfig, tmp_path: Path) -> None:
    view = DiskConfig(root=tmp_path / "view")
    error = create_symlink(view, "a.json", Place(raw, "a.json")).failure()
    assert "links_to" in str(error)
    assert error_of(create_symlink(view, "a.json", Place(raw, "../a.json"))) == "InvalidKey"
    assert error_of(create_symlink(view, "a.json", "../raw/a.json")) == "InvalidKey"
    assert not exists(view, "a.json").unwrap()
    wrong = create_symlink(raw, "l.json", "a.json", if_exists="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert isinstance(wrong.failure(), InvalidSpec)


def test_stores_without_links_say_so(tmp_path: Path) -> None:
    run = Dispatcher(default_registry().extended(SHELF).unwrap())
    shelf = site_of("shelf", tmp_path, run).with_keys("a.npy")
    outcome = create_symlink(shelf.config, "l", "a", dispatcher=run)
    assert isinstance(outcome.failure(), UnsupportedOperation)
    made = mirror(shelf.config, shelf.config, dispatcher=run)
    assert isinstance(made.failure(), (UnsupportedOperation, InvalidKey))


def test_a_zarr_store_links_by_an_attribute(tmp_path: Path) -> None:
    zarr = ZarrConfig(root=tmp_path / "a.zarr")
    save(zarr)(Item("p/a", np.arange(3))).unwrap()
    assert create_symlink(zarr, "latest", "p/a").unwrap() == "latest"
    assert is_symlink(zarr, "latest").unwrap()
    assert load(zarr)("latest").unwrap().payload.tolist() == [0, 1, 2]
    delete(zarr, "latest").unwrap()
    assert list_files(zarr).unwrap() == ("p/a",)


def test_a_mirror_has_a_link_to_every_file(raw: DiskConfig, view: DiskConfig) -> None:
    report = mirror(raw, view).unwrap()
    assert report.values == list_files(raw).unwrap() == list_files(view).unwrap()
    assert (report.errors, report.failed) == ((), ())
    for key in report.values:
        assert is_symlink(view, key).unwrap()
        assert load(view)(key).unwrap().payload == load(raw)(key).unwrap().payload
    assert mirror(raw, view, if_exists="skip").unwrap() == report
    assert mirror(raw, view, if_exists="replace").unwrap() == report


def test_a_mirror_of_a_folder_keeps_the_keys(raw: DiskConfig, view: DiskConfig) -> None:
    assert mirror(raw, view, folder="p").unwrap().values == ("p/f2.json", "p/f10.json")
    assert list_files(view).unwrap() == ("p/f2.json", "p/f10.json")


def test_what_cannot_be_mirrored_is_told_and_the_rest_is(raw: DiskConfig, view: DiskConfig) -> None:
    (Path(raw.root) / "odd\\name").touch()
    save(view)(Item("a.json", "mine")).unwrap()
    report = mirror(raw, view).unwrap()
    assert [type(error).__name__ for error in report.errors] == ["InvalidKey", "AlreadyExists"]
    assert report.failed[1] == "a.json"
    assert len(report.values) == 3
    assert load(view)("a.json").unwrap().payload == "mine"


def test_a_mirror_without_one_link_is_a_failure(
    raw: DiskConfig, view: DiskConfig, tmp_path: Path
) -> None:
    unlinked = DiskConfig(root=view.root)
    error = mirror(raw, unlinked).failure()
    assert isinstance(error, UnsupportedOperation)
    assert (error.key, error.config) == ("a.json", unlinked)
    assert error.message.endswith("No link was made: this is the first of 4 errors.")
    assert error_of(mirror(raw, unlinked, folder="q")) == "UnsupportedOperation"
    mirror(raw, view).unwrap()
    assert error_of(mirror(raw, view)) == "AlreadyExists"
    assert mirror(MemoryConfig(name=str(tmp_path)), view).unwrap().values == ()


def test_what_is_read_only_is_linked_to_in_the_store_behind_it(
    raw: DiskConfig, view: DiskConfig
) -> None:
    seen = ReadOnlyConfig(ReadOnlyConfig(raw))
    assert mirror(seen, view).unwrap().values == list_files(raw).unwrap()
    assert load(view)("p/f2.json").unwrap().payload == load(raw)("p/f2.json").unwrap().payload
    assert create_symlink(view, "l.json", Place(seen, "a.json")).unwrap() == "l.json"
    assert stat(view, "l.json").unwrap().link == stat(view, "a.json").unwrap().link
    strict = DiskConfig(root=view.root)
    assert error_of(create_symlink(strict, "m.json", Place(seen, "a.json"))) != ""
    assert isinstance(mirror(seen, raw, if_exists="replace").failure(), InvalidKey)


def test_what_cannot_be_listed_is_not_mirrored(raw: DiskConfig, view: DiskConfig) -> None:
    assert error_of(mirror(raw, view, folder="none")) == "NotFound"
    assert error_of(mirror(raw, view, folder="../x")) == "InvalidKey"
    assert error_of(mirror(raw, view, folder="a.json")) == "NotADirectory"
    assert mirror(DiskConfig(root=view.root), view).failure()


def test_a_mirror_of_a_store_in_itself_loses_nothing(tmp_path: Path, raw: DiskConfig) -> None:
    (tmp_path / "alias").symlink_to("raw")
    insides = (
        raw,
        DiskConfig(root=raw.root, links_to=(raw,)),
        DiskConfig(root=tmp_path / "alias", links_to=(raw,)),
        DiskConfig(root=Path(raw.root) / "p", links_to=(raw,)),
    )
    for inside in insides:
        outcome = mirror(raw, inside, if_exists="replace")
        assert isinstance(outcome.failure(), InvalidKey)
    memory = MemoryConfig(name=str(tmp_path))
    save(memory)(Item("a.json", 1)).unwrap()
    assert isinstance(mirror(memory, memory, if_exists="replace").failure(), InvalidKey)
    assert [load(raw)(key).unwrap().payload for key in list_files(raw).unwrap()] == [0, 2, 1, 3]


def test_a_mirror_does_not_go_through_a_linked_folder(raw: DiskConfig, view: DiskConfig) -> None:
    """A folder of the view is a link to the one that is mirrored: its files are not to be lost."""
    Path(view.root).mkdir()
    (Path(view.root) / "p").symlink_to(Path(raw.root) / "p")
    report = mirror(raw, view, if_exists="replace").unwrap()
    assert set(report.failed) == {"p/f2.json", "p/f10.json"}
    assert load(raw)("p/f2.json").unwrap().payload == 2
    assert not is_symlink(raw, "p/f2.json").unwrap()

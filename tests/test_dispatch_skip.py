"""What the dispatcher skips before it is loaded, and what goes along with an item."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from polystore import (
    BackendNotRegistered,
    DiskConfig,
    Dispatcher,
    IfExists,
    Item,
    KeyLike,
    MemoryConfig,
    Metadata,
    NotFound,
    Outcome,
    Payload,
    Pipeline,
    Place,
    ReadOnlyConfig,
    Registry,
    Route,
    RouteConfig,
    Saved,
    Source,
    Success,
    VirtualConfig,
    VirtualItem,
    apply,
    compose,
    convert,
    load,
    rename,
    save,
)
from polystore.core.payload import is_host_array
from running import saved_array


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    return DiskConfig(root=tmp_path)


def pipelines_to_skip(source: DiskConfig, sink: DiskConfig) -> dict[str, Pipeline[KeyLike, Saved]]:
    keep = save(sink, if_exists="skip")
    return {
        "b.npy": compose(load(source), rename("b.npy"), keep),
        "a.npy": compose(load(source), keep),
        "run/a.npy": compose(load(source), rename(prefix="run/"), convert(to="numpy"), keep),
        "A.npy": compose(
            load(source), convert(to="numpy"), rename(str.upper), rename(suffix=".npy"), keep
        ),
    }


@pytest.mark.parametrize("key", ["a.npy", "b.npy", "run/a.npy", "A.npy"])
def test_what_is_there_is_skipped_before_it_is_loaded(
    disk: DiskConfig, tmp_path: Path, key: str
) -> None:
    source = DiskConfig(root=tmp_path / "no such folder")
    pipeline = pipelines_to_skip(source, disk)[key]
    assert isinstance(pipeline("a.npy").failure(), NotFound)  # loading would fail
    saved_array(disk, key)
    outcome = pipeline("a.npy").unwrap()
    assert outcome == Saved(key, disk, "skipped", 0)


def test_what_is_skipped_is_not_computed(disk: DiskConfig) -> None:
    calls: list[Payload] = []

    def counted(value: Payload) -> Payload:
        calls.append(value)
        return value

    keep = save(disk, if_exists="skip")
    pipeline = compose(load(disk), apply(counted), rename(suffix=".out.npy"), keep)
    saved_array(disk, "a.npy")
    assert pipeline("a.npy").unwrap().status == "written"
    assert pipeline("a.npy").unwrap().status == "skipped"
    assert len(calls) == 1


def test_only_skip_asks_first(disk: DiskConfig, tmp_path: Path) -> None:
    saved_array(disk, "a.npy")
    missing = load(DiskConfig(root=tmp_path / "no such folder"))
    modes: tuple[IfExists, ...] = ("fail", "replace")
    for if_exists in modes:
        outcome = compose(missing, save(disk, if_exists=if_exists))("a.npy")
        assert isinstance(outcome.failure(), NotFound)


def test_a_folder_in_the_way_is_no_reason_to_skip(disk: DiskConfig, tmp_path: Path) -> None:
    source = DiskConfig(root=tmp_path / "source")
    saved_array(source, "a.npy")
    sink = DiskConfig(root=tmp_path / "sink")
    saved_array(sink, "a.npy/b.npy")
    outcome = compose(load(source), save(sink, if_exists="skip"))("a.npy")
    assert type(outcome.failure()).__name__ == "NotAFile"


def test_a_step_of_ones_own_is_run_even_if_the_result_is_skipped(disk: DiskConfig) -> None:
    saved_array(disk, "a.npy")

    def moved(item: Item[Payload]) -> Outcome[Item[Payload]]:
        return Success(Item("elsewhere.npy", item.payload))

    pipeline = compose(load(disk), moved, save(disk, if_exists="skip"))
    assert pipeline("a.npy").unwrap().key == "elsewhere.npy"
    assert pipeline("a.npy").unwrap().status == "skipped"


def test_stores_made_of_others_are_asked_first_too(disk: DiskConfig, tmp_path: Path) -> None:
    nowhere = DiskConfig(root=tmp_path / "no such folder")
    place = VirtualItem(Place(nowhere, "b.npy"), (0,))
    sources: list[Source[Payload]] = [
        ReadOnlyConfig(nowhere),
        RouteConfig((Route(nowhere),)),
        VirtualConfig({"a.npy": place}),
    ]
    sink = RouteConfig((Route(MemoryConfig(name=disk.root), suffixes=(".json",)), Route(disk)))
    saved_array(disk, "a.npy")
    for source in sources:
        keep = save(sink, if_exists="skip")
        assert compose(load(source), keep)("a.npy").unwrap() == Saved("a.npy", sink, "skipped", 0)
        assert isinstance(compose(load(source), save(sink))("a.npy").failure(), NotFound)
    # and an absolute path is the key that it is to the store behind
    below = compose(load(ReadOnlyConfig(nowhere)), save(sink, if_exists="skip"))
    assert below(Path(nowhere.root) / "a.npy").unwrap().status == "skipped"


# What is kept.


def test_metadata_and_history_go_along(disk: DiskConfig) -> None:
    memory = MemoryConfig(name="history")
    item = Item("a.npy", np.arange(3, dtype="u2"), Metadata(axes=("x",)))
    steps = (rename(suffix=".b"), convert(to="numpy"), apply(np.square), save(memory))
    Pipeline[object, object](steps)(item).unwrap()
    back = load(memory)("a.b").unwrap()
    assert back.metadata == item.metadata
    assert [event.step for event in back.history] == [*steps, load(memory)]
    assert [event.key for event in back.history] == ["a.b"] * 5
    assert {event.nbytes for event in back.history} == {6}
    assert is_host_array(back.payload)


def test_steps_run_on_the_registry_of_their_dispatcher(disk: DiskConfig) -> None:
    outcome = Dispatcher(Registry.of().unwrap()).run(load(disk), "a.npy")
    assert isinstance(outcome.failure(), BackendNotRegistered)

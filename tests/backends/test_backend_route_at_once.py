"""A routed store while others write to it: what is replaced is never lost, nor missed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from attrs import evolve

from polystore import (
    DiskConfig,
    Dispatcher,
    FileFormat,
    Item,
    Key,
    MemoryConfig,
    Outcome,
    Payload,
    Route,
    RouteConfig,
    Saved,
    SaveOptions,
    default_dispatcher,
    default_registry,
    load,
    save,
)
from polystore.core.payload import is_host_array


def test_of_two_that_replace_at_once_one_is_kept(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    routes = RouteConfig((Route(memory, ("array",)), Route(disk)))
    others: list[Item[Payload]] = [Item("a.json", {"new": "longer"})]

    def save_then_be_overtaken(
        handle: object, key: Key, item: Item[Payload], how: SaveOptions, /
    ) -> Outcome[Saved]:
        assert record.save is not None
        saved = record.save(handle, key, item, how)
        while others:
            dispatcher.run(save(routes, if_exists="replace"), others.pop()).unwrap()
        return saved

    record = default_dispatcher().backend(memory).unwrap()
    slow = evolve(record, save=save_then_be_overtaken)
    dispatcher = Dispatcher(default_registry().replacing(slow).unwrap())
    save(disk)(Item("a.json", {"old": 1})).unwrap()
    step = save(routes, if_exists="replace")
    assert dispatcher.run(step, Item("a.json", np.arange(3))).unwrap().status == "written"
    assert dispatcher.run(load(routes), "a.json").unwrap().payload == {"new": "longer"}
    dispatcher.pool.close()


def test_what_goes_to_an_earlier_store_while_it_is_loaded_is_found(tmp_path: Path) -> None:
    disk, memory = DiskConfig(root=tmp_path), MemoryConfig(name=str(tmp_path))
    routes = RouteConfig((Route(memory, ("array",)), Route(disk)))
    arrays: list[Item[Payload]] = [Item("a.json", np.arange(3))]

    def load_when_it_is_gone(
        handle: object, key: Key, format: FileFormat[object] | None, /
    ) -> Outcome[Item[Payload]]:
        assert record.load is not None
        while arrays:
            dispatcher.run(save(routes, if_exists="replace"), arrays.pop()).unwrap()
        return record.load(handle, key, format)

    record = default_dispatcher().backend(disk).unwrap()
    late = evolve(record, load=load_when_it_is_gone)
    dispatcher = Dispatcher(default_registry().replacing(late).unwrap())
    save(disk)(Item("a.json", {"old": 1})).unwrap()
    assert is_host_array(dispatcher.run(load(routes), "a.json").unwrap().payload)
    dispatcher.pool.close()

"""Every store does what a dict does: a machine that saves, loads, lists and deletes at random."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from polystore import (
    Backend,
    DiskConfig,
    Dispatcher,
    HostArray,
    IfExists,
    Item,
    Key,
    MemoryConfig,
    Outcome,
    ZarrConfig,
    default_registry,
    is_successful,
    list_files,
    load,
    save,
)
from polystore.core.payload import is_host_array

Config: TypeAlias = "DiskConfig | MemoryConfig | ZarrConfig"
Maker: TypeAlias = Callable[[str], Config]
"""From a new folder to a config of a new store."""

STORES: dict[str, Maker] = {
    "disk": lambda folder: DiskConfig(root=f"{folder}/made/later"),
    "disk, fsync": lambda folder: DiskConfig(root=folder, durability="fsync"),
    "memory": lambda folder: MemoryConfig(name=folder),
    "zarr": lambda folder: ZarrConfig(root=f"{folder}/a.zarr"),
}

keys = st.lists(st.sampled_from(("a.npy", "b.npy", "B 2.npy")), min_size=1, max_size=3).map(
    "/".join
)
bad_keys = st.sampled_from(("", "../a.npy", "/a.npy", "a.npy//b.npy", "a\0.npy", "\ud800.npy"))
modes: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
arrays = st.builds(
    np.full, st.sampled_from(((), (0,), (2, 3))), st.integers(0, 9), st.sampled_from(("u1", "<f4"))
)


def error_of(outcome: Outcome[object]) -> str:
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


class StoreMachine(RuleBasedStateMachine):
    """A store, and the dict that says what is in it."""

    def __init__(self, make: Maker) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.config = make(self.folder)
        self.dispatcher = Dispatcher(default_registry())
        self.model: dict[str, HostArray] = {}
        # A file system keeps folders that have become empty; a dict has none.
        self.folders_once: set[str] = set()

    def teardown(self) -> None:
        self.dispatcher.pool.close()
        shutil.rmtree(self.folder)

    def ancestors(self, key: str) -> list[str]:
        parts = key.split("/")
        return ["/".join(parts[:depth]) for depth in range(1, len(parts))]

    def below(self, folder: str) -> list[str]:
        return [key for key in self.model if key.startswith(folder + "/")]

    @rule(key=keys, value=arrays, if_exists=modes)
    def saves(self, key: str, value: HostArray, if_exists: IfExists) -> None:
        given = value.copy()
        step = save(self.config, if_exists=if_exists)
        outcome = self.dispatcher.run(step, Item(key, given))
        given[...] = 77  # the store holds what was saved, not what became of it
        if any(folder in self.model for folder in self.ancestors(key)):
            assert error_of(outcome) == "NotADirectory"
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        elif key in self.model and if_exists == "fail":
            assert error_of(outcome) == "AlreadyExists"
        elif key in self.model and if_exists == "skip":
            assert outcome.unwrap().status == "skipped"
        elif key in self.folders_once and not is_successful(outcome):
            assert error_of(outcome) == "NotAFile"
        else:
            assert outcome.unwrap().status == "written"
            assert (outcome.unwrap().key, outcome.unwrap().config) == (key, self.config)
            self.model[key] = value
            self.folders_once -= {key}
            self.folders_once.update(self.ancestors(key))

    @rule(key=keys)
    def loads(self, key: str) -> None:
        outcome = self.dispatcher.run(load(self.config), key)
        if key not in self.model:
            folder = key in self.folders_once
            assert error_of(outcome) in (("NotAFile", "NotFound") if folder else ("NotFound",))
            if self.below(key):
                assert error_of(outcome) == "NotAFile"
            return
        payload, wanted = outcome.unwrap().payload, self.model[key]
        assert is_host_array(payload)
        assert (payload.shape, payload.dtype) == (wanted.shape, wanted.dtype)
        assert payload.tobytes() == wanted.tobytes()
        payload[...] = 66  # what was loaded is the caller's own

    @rule(key=keys)
    def asks(self, key: str) -> None:
        backend, handle = self.opened()
        assert backend.stat is not None
        outcome = backend.stat(handle, Key(key))
        if key in self.model:
            assert outcome.unwrap().kind == "file"
        elif self.below(key):
            assert outcome.unwrap().kind == "folder"
        elif is_successful(outcome):
            assert key in self.folders_once
            assert outcome.unwrap().kind == "folder"
        else:
            assert error_of(outcome) == "NotFound"

    @rule(key=keys)
    def deletes(self, key: str) -> None:
        backend, handle = self.opened()
        assert backend.delete is not None
        outcome = backend.delete(handle, Key(key))
        if key in self.model:
            outcome.unwrap()
            del self.model[key]
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        elif key in self.folders_once:
            assert error_of(outcome) in ("NotAFile", "NotFound")
        else:
            assert error_of(outcome) == "NotFound"

    @rule(key=bad_keys, value=arrays)
    def takes_no_bad_key(self, key: str, value: HostArray) -> None:
        saved = self.dispatcher.run(save(self.config, if_exists="replace"), Item(key, value))
        assert error_of(saved) == "InvalidKey"
        assert error_of(self.dispatcher.run(load(self.config), key)) == "InvalidKey"

    @rule(folder=keys)
    def lists_a_folder(self, folder: str) -> None:
        outcome = list_files(self.config, folder=folder, dispatcher=self.dispatcher)
        if folder in self.model or any(it in self.model for it in self.ancestors(folder)):
            assert error_of(outcome) in ("NotADirectory", "NotFound")
        elif not self.below(folder):
            assert outcome.value_or(()) == ()
        else:
            assert set(outcome.unwrap()) == set(self.below(folder))

    @invariant()
    def lists_what_there_is(self) -> None:
        outcome = list_files(self.config, dispatcher=self.dispatcher)
        if not self.model:
            assert outcome.value_or(()) == ()
        else:
            assert sorted(outcome.unwrap()) == sorted(self.model)

    def opened(self) -> tuple[Backend[object, object], object]:
        opened = self.dispatcher.open(self.config).unwrap()
        return opened.backend, opened.handle


@pytest.mark.parametrize("store", STORES)
def test_a_store_is_a_dict(store: str) -> None:
    machine = cast("type[RuleBasedStateMachine]", partial(StoreMachine, STORES[store]))
    tries = max(settings().max_examples // 4, 10)  # each is many steps on real files
    run_state_machine_as_test(machine, settings=settings(max_examples=tries))


def test_stores_are_made_in_their_own_folders(tmp_path: Path) -> None:
    assert len({make(str(tmp_path)) for make in STORES.values()}) == len(STORES)

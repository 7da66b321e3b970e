"""Every routed store does what a dict does, and keeps each key in one of its stores."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from typing import cast

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from routes_made import ROUTES, Maker, error_of

from polystore import (
    Dispatcher,
    HostArray,
    IfExists,
    Item,
    Json,
    Payload,
    RouteConfig,
    Saved,
    Source,
    default_registry,
    delete,
    is_successful,
    list_files,
    load,
    move,
    save,
    stat,
)
from polystore.core.payload import is_host_array

keys = st.lists(st.sampled_from(("a.json", "b.json", "c 2.json")), min_size=1, max_size=3).map(
    "/".join
)
modes: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))
payloads: st.SearchStrategy[Json | HostArray] = st.one_of(
    st.builds(np.full, st.sampled_from(((), (2, 3))), st.integers(0, 9), st.just("u1")),
    st.dictionaries(st.sampled_from("xy"), st.integers(0, 9)),
)


def same(one: object, other: object) -> bool:
    if is_host_array(one) or is_host_array(other):
        assert is_host_array(one)
        assert is_host_array(other)
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return one == other


class RouteMachine(RuleBasedStateMachine):
    """A routed store of mixed items, and the dict that says what is in it."""

    def __init__(self, make: Maker) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.config = make(self.folder)
        self.dispatcher = Dispatcher(default_registry())
        self.model: dict[str, Json | HostArray] = {}
        # Folders that have become empty stay, in some of the stores.
        self.folders_once: set[str] = set()

    def teardown(self) -> None:
        self.dispatcher.pool.close()
        shutil.rmtree(self.folder)

    def ancestors(self, key: str) -> list[str]:
        parts = key.split("/")
        return ["/".join(parts[:depth]) for depth in range(1, len(parts))]

    def below(self, folder: str) -> list[str]:
        return [key for key in self.model if key.startswith(folder + "/")]

    def is_below_item(self, key: str) -> bool:
        return any(folder in self.model for folder in self.ancestors(key))

    @rule(key=keys, value=payloads, if_exists=modes)
    def saves(self, key: str, value: Json | HostArray, if_exists: IfExists) -> None:
        step = save(self.config, if_exists=if_exists)
        outcome = self.dispatcher.run(step, Item[Payload](key, value))
        if self.is_below_item(key):
            assert error_of(outcome) == "NotADirectory"
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        elif key in self.model and if_exists == "fail":
            assert error_of(outcome) == "AlreadyExists"
        elif key in self.model and if_exists == "skip":
            assert outcome.unwrap() == Saved(key, self.config, "skipped", 0)
        elif key in self.folders_once and not is_successful(outcome):
            assert error_of(outcome) == "NotAFile"
        else:
            assert outcome.unwrap().status == "written"
            assert (outcome.unwrap().key, outcome.unwrap().config) == (key, self.config)
            self.model[key] = value
            self.folders_once -= {key}
            self.folders_once.update(self.ancestors(key))
        if not is_successful(outcome):
            assert outcome.failure().config == self.config

    @rule(key=keys)
    def loads(self, key: str) -> None:
        outcome = self.dispatcher.run(load(self.config), key)
        if key in self.model:
            assert same(outcome.unwrap().payload, self.model[key])
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        else:
            assert error_of(outcome) in ("NotFound", "NotAFile")

    @rule(key=keys)
    def asks(self, key: str) -> None:
        outcome = stat(self.config, key, dispatcher=self.dispatcher)
        if key in self.model:
            assert outcome.unwrap().kind == "file"
        elif self.below(key):
            assert outcome.unwrap().kind == "folder"
        elif is_successful(outcome):
            assert key in self.folders_once
        else:
            assert error_of(outcome) == "NotFound"

    @rule(key=keys)
    def deletes(self, key: str) -> None:
        outcome = delete(self.config, key, dispatcher=self.dispatcher)
        if key in self.model:
            outcome.unwrap()
            del self.model[key]
        elif self.below(key):
            assert error_of(outcome) == "NotAFile"
        elif is_successful(outcome):
            assert key in self.folders_once
        else:
            assert error_of(outcome) == "NotFound"

    @rule(old=keys, new=keys, if_exists=modes)
    def moves(self, old: str, new: str, if_exists: IfExists) -> None:
        outcome = move(self.config, old, new, if_exists=if_exists, dispatcher=self.dispatcher)
        moved = {key for key in self.model if key == old or key.startswith(old + "/")}
        if not is_successful(outcome):
            self.refuses_to_move(old, new, error_of(outcome))
        elif old == new:
            assert moved or old in self.folders_once
        elif outcome.unwrap().status == "skipped":
            assert if_exists == "skip"
            assert new in self.model or new in self.folders_once
        else:
            assert moved or old in self.folders_once
            assert moved == {old} or not self.below(new)
            went = {new + key.removeprefix(old): self.model.pop(key) for key in moved}
            self.model |= went
            self.folders_once.update(*(self.ancestors(key) for key in (new, *went)), {old, new})

    def refuses_to_move(self, old: str, new: str, error: str) -> None:
        if old not in self.model and not self.below(old) and old not in self.folders_once:
            assert error == "NotFound"
        elif new in self.model or new in self.folders_once:
            assert error in ("AlreadyExists", "NotAFile", "InvalidKey", "NotADirectory", "NotFound")
        else:
            below = new.startswith(old + "/") or self.is_below_item(new)
            gone = old not in self.model and not self.below(old)
            assert below or gone, error
            assert error in ("InvalidKey", "NotADirectory", "NotFound")

    @invariant()
    def lists_each_key_once(self) -> None:
        outcome = list_files(self.config, dispatcher=self.dispatcher)
        if self.model:
            assert sorted(outcome.unwrap()) == sorted(self.model)
        else:
            assert outcome.value_or(()) == ()

    @invariant()
    def each_key_is_in_one_store(self) -> None:
        places: dict[str, int] = {}
        for store in leaves(self.config):
            for key in list_files(store, dispatcher=self.dispatcher).value_or(()):
                places[key] = places.get(key, 0) + 1
        assert all(count == 1 for count in places.values()), places


def leaves(config: Source[object]) -> set[Source[object]]:
    if not isinstance(config, RouteConfig):
        return {config}
    found: set[Source[object]] = set()
    return found.union(*(leaves(route.store) for route in config.routes))


@pytest.mark.parametrize("routes", ROUTES)
def test_routes_are_one_dict(routes: str) -> None:
    machine = cast("type[RuleBasedStateMachine]", partial(RouteMachine, ROUTES[routes]))
    tries = max(settings().max_examples // 8, 10)  # each is many steps on real files
    run_state_machine_as_test(machine, settings=settings(max_examples=tries))

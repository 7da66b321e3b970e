"""Laws of configs and handles: a config is a value, and names one store."""

from __future__ import annotations

import copy
import pickle

from attrs import evolve
from hypothesis import strategies as st

from polystore.core.outcome import is_successful
from polystore.steps.spec import from_spec, to_spec
from polystore.testing.expect import done, expect
from polystore.testing.stores.trial import Trial, reaches_out, registry_with, store_law

__all__ = ["ADDRESS_LAWS"]


def _is_a_value(trial: Trial, _example: None) -> None:
    config = trial.config
    number = hash(config)
    pickled: object = pickle.loads(pickle.dumps(config))  # noqa: S301 - our own bytes
    for how, other in (("copied", copy.deepcopy(config)), ("pickled", pickled)):
        expect(other == config, f"{config!r} was {how} and came back as {other!r}")
        expect(hash(other) == number, f"{config!r} was {how} and has another hash now")


def _goes_through_json(trial: Trial, _example: None) -> None:
    import json

    registry = registry_with(trial.record)
    spec = done(to_spec(trial.config, registry), f"the spec of {trial.config!r}")
    read = json.loads(json.dumps(spec))
    back = done(from_spec(read, {}, registry), f"reading the spec {spec}")
    expect(
        back == trial.config, f"{trial.config!r} went to JSON, {spec}, and came back as {back!r}"
    )


def _are_two(trial: Trial, _example: None) -> None:
    config = trial.make()
    filled = trial.fill("a")
    other = trial.beside(config, trial.dispatcher)
    for key in filled:
        found = other.load(key)
        expect(not is_successful(found), f"{key!r} was saved to one store, and is in another one")
        done(other.save(key, trial.payload(7)), f"saving under {key!r} to another store")
        trial.expect_under(key, filled[key])


def _closes_twice(trial: Trial, _example: None) -> None:
    trial.fill("a")
    with trial.reopened() as other:
        for _ in range(2):
            other.backend.close(other.handle)


def _closes_alone(trial: Trial, _example: None) -> None:
    filled = trial.fill("a", "b/c")
    with trial.reopened() as other:
        other.load(trial.key("a"))  # whatever it says: it has been at work
    for key, payload in filled.items():
        trial.expect_under(key, payload)
    done(trial.save(trial.key("d"), trial.payload(9)), "saving when another handle was closed")
    trial.expect_under(trial.key("d"), trial.payload(9))


def _is_there_again(trial: Trial, _example: None) -> None:
    filled = trial.fill("a", "b/c")
    trial.dispatcher.pool.close()
    with trial.reopened() as other:
        for key, payload in filled.items():
            other.expect_under(key, payload)
        other.expect_listed(filled, " when the store was opened again")


def _is_seen_by_others(trial: Trial, _example: None) -> None:
    with trial.reopened() as other:
        for key, payload in trial.fill("a", "b/c").items():
            other.expect_under(key, payload)
            replaced = other.replace(key, trial.payload(8))
            trial.expect_under(key, trial.payload(8) if replaced else payload)


_NOTHING = st.none()

ADDRESS_LAWS = (
    store_law("a config is hashed, copied and pickled unharmed", (), _NOTHING, _is_a_value),
    store_law("a config goes to JSON and back", (), _NOTHING, _goes_through_json),
    store_law("two configs are two stores", ("save", "load"), _NOTHING, _are_two),
    store_law("a handle closes twice without harm", ("save",), _NOTHING, _closes_twice),
    store_law("closing a handle leaves the others open", ("save", "load"), _NOTHING, _closes_alone),
    evolve(
        store_law(
            "what was saved is there when the store is opened again",
            ("save", "load"),
            _NOTHING,
            _is_there_again,
        ),
        fits=reaches_out,
    ),
    evolve(
        store_law(
            "two handles of one store see each other's saves",
            ("save", "load"),
            _NOTHING,
            _is_seen_by_others,
        ),
        fits=reaches_out,
    ),
)
"""Laws of configs and handles."""

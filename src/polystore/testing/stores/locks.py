"""Laws of locks, moves and links."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import strategies as st

from polystore.core.errors import AlreadyExists, InvalidKey, LockTimeout
from polystore.core.key import Key
from polystore.testing.expect import done, expect, refused
from polystore.testing.stores.elsewhere import GLANCE_S, PATIENCE_S, TURNS_OF_REPLAY, started
from polystore.testing.stores.trial import Trial, is_written_once, reaches_out, store_law

if TYPE_CHECKING:
    from polystore.core.outcome import Outcome
    from polystore.core.records import IfExists

__all__ = ["LINK_LAWS", "LOCK_LAWS", "MOVE_LAWS", "lock_of"]

SHORT_S = 0.05
"""Seconds that a wait for a lock is tried for: none of the laws measures them."""


def lock_of(trial: Trial, key: str, seconds: float) -> Outcome[AbstractContextManager[None]]:
    """Ask for the lock of a key."""
    lock = trial.backend.lock
    if lock is None:
        raise AssertionError("the law needs a lock that the record does not have")
    return lock(trial.handle, Key(key), seconds)


def _expect_held(trial: Trial, key: str) -> None:
    """Expect that nobody else gets the lock, and that who waits for it is told in time."""
    waiting = started(lambda: lock_of(trial, key, SHORT_S))
    what = f"waiting {SHORT_S} s for the lock of {key!r}, which is held,"
    outcome = waiting.result(what)
    error = refused(outcome, what, LockTimeout)
    expect(error.key == key, f"the error of a lock names {error.key!r}, not {key!r}")


def _expect_held_here_too(trial: Trial, key: str) -> None:
    """Expect that the thread which holds the lock does not get it once more."""
    what = f"locking {key!r} again, in the thread that holds it,"
    refused(lock_of(trial, key, SHORT_S), what, LockTimeout)


def _expect_free(trial: Trial, key: str) -> None:
    with done(lock_of(trial, key, PATIENCE_S), f"locking {key!r}, which is free"):
        pass


def _excludes(trial: Trial, there: bool) -> None:
    filled = trial.fill("a") if there else {}
    key, other = trial.key("a"), trial.key("b")
    with done(lock_of(trial, key, PATIENCE_S), f"locking {key!r}"):
        _expect_held(trial, key)
        _expect_held_here_too(trial, key)
        _expect_free(trial, other)
        trial.expect_listed(filled, " while a lock is held")
        if reaches_out(trial.record):
            with trial.reopened() as again:
                _expect_held(again, key)
        # Elsewhere, for a save may wait for the lock: then this must not wait for the save.
        saving = started(lambda: trial.replace(key, trial.payload(2)))
        saving.result(f"saving under {key!r}, locked,")
        _expect_held(trial, key)
    _expect_free(trial, key)
    trial.expect_listed((key,), " after a lock was held")


def _lets_go(trial: Trial, _example: None) -> None:
    key = trial.key("a")
    try:
        with done(lock_of(trial, key, PATIENCE_S), f"locking {key!r}"):
            raise ArithmeticError("in the midst of a lock")
    except ArithmeticError:
        pass
    else:
        raise AssertionError("a lock swallowed what was raised under it")
    _expect_free(trial, key)


def _waits(trial: Trial, _example: None) -> None:
    key, asked = trial.key("a"), threading.Event()

    def wait() -> None:
        asked.set()
        _expect_free(trial, key)

    with done(lock_of(trial, key, PATIENCE_S), f"locking {key!r}"):
        waiting = started(wait)
        asked.wait(PATIENCE_S)
    waiting.result(f"waiting for the lock of {key!r}, which was let go,")


def _counts(trial: Trial, threads: int) -> None:
    """Read and write back under a lock, in several threads: no step is lost."""
    key, numbers = trial.key("a"), list(range(threads))
    counted: list[int] = [0]
    begun, second = threading.Event(), threading.Event()

    def count() -> None:
        for _ in range(5):
            with done(lock_of(trial, key, PATIENCE_S), f"locking {key!r}"):
                before = counted[0]
                # The first waits for a second one, which cannot come where the lock holds.
                if begun.is_set():
                    second.set()
                begun.set()
                second.wait(GLANCE_S)
                second.set()
                trial.replace(key, trial.payload(before))
                counted[0] = before + 1

    for work in [started(count) for _ in numbers]:
        work.result(f"counting under the lock of {key!r}")
    wanted = 5 * threads
    expect(counted[0] == wanted, f"of {wanted} steps under a lock, {counted[0]} were counted")


def _leads(trial: Trial, _example: None) -> None:
    filled = trial.fill("a")
    key, target = trial.key("l"), trial.key("a")
    expect(done(trial.link(key, target), "linking"), "a link that is new was skipped")
    trial.expect_under(key, filled[target])
    found = done(trial.stat(key), f"stat of {key!r}, a link")
    expect(found.kind == "file", f"stat of a link to a file is {found}")
    expect(found.link is not None, f"stat of a link does not say so: {found}")
    expect(done(trial.stat(target), "stat").link is None, f"{target!r} is no link, says stat")
    trial.expect_listed((*filled, key), " with a link")
    refused(trial.link(key, target), f"linking {key!r}, which exists", AlreadyExists)
    expect(not done(trial.link(key, target, "skip"), "linking"), "a link was not skipped")


def _leaves_its_target(trial: Trial, how: str) -> None:
    filled = trial.fill("a")
    key, target = trial.key("l"), trial.key("a")
    done(trial.link(key, target), "linking")
    if how == "delete" and trial.backend.delete is not None:
        done(trial.delete(key), f"deleting {key!r}, a link")
        trial.expect_nothing(key)
    if how == "replace":
        replaced = trial.replace(key, trial.payload(5))
        trial.expect_under(key, trial.payload(5) if replaced else filled[target])
    trial.expect_under(target, filled[target])
    expect(done(trial.stat(target), "stat").link is None, f"{target!r} became a link")


def _breaks(trial: Trial, circle: bool) -> None:
    key, other = trial.key("l"), trial.key("m")
    done(trial.link(key, other), "linking to what is not there")
    if circle:
        done(trial.link(other, key), "linking in a circle")
    found = done(trial.stat(key), f"stat of {key!r}, a link that leads nowhere")
    expect(found.kind == "broken link", f"stat of a link that leads nowhere is {found}")
    refused(trial.load(key), f"loading {key!r}, a link that leads nowhere")
    trial.expect_listed((key, other) if circle else (key,), " with a link that leads nowhere")
    saved = trial.save(key, trial.payload(1))
    refused(saved, f"saving under {key!r}, a link that leads nowhere", AlreadyExists)
    done(trial.save(key, trial.payload(1), "replace"), f"replacing {key!r}")
    trial.expect_under(key, trial.payload(1))
    expect(done(trial.stat(key), "stat").link is None, f"{key!r} was replaced, and is a link yet")


def _moves(trial: Trial, if_exists: IfExists) -> None:
    filled = trial.fill("a", "b")
    old, new = filled
    outcome = trial.move(old, new, if_exists)
    replaces = if_exists == "replace" and not is_written_once(outcome)
    if if_exists == "fail":
        refused(outcome, f"moving {old!r} to {new!r}, which exists", AlreadyExists)
    elif replaces or if_exists == "skip":
        moved = done(outcome, f"moving {old!r} with if_exists={if_exists!r}")
        expect(moved is replaces, f"a move with {if_exists!r} gave {moved}")
    if replaces:
        trial.expect_nothing(old)
        trial.expect_under(new, filled[old])
    else:
        for key, payload in filled.items():
            trial.expect_under(key, payload)


def _moves_all(trial: Trial, into_itself: bool) -> None:
    filled = trial.fill("a/b", "a/c/d", "e")
    old, new = trial.key("a"), trial.key("a/c/f" if into_itself else "f/g")
    outcome = trial.move(old, new)
    if into_itself:
        refused(outcome, f"moving {old!r} to {new!r}, into itself,", InvalidKey)
        wanted = filled
    else:
        done(outcome, f"moving {old!r}, a folder")
        wanted = {
            new + key.removeprefix(old) if key.startswith(f"{old}/") else key: payload
            for key, payload in filled.items()
        }
    for key, payload in wanted.items():
        trial.expect_under(key, payload)
    trial.expect_listed(wanted, " after a folder was moved")
    for key in sorted(set(filled) - set(wanted)):
        trial.expect_nothing(key)


_NOTHING = st.none()
_MODES: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))

_OF_LOCKS = (
    store_law(
        "a lock excludes others, and nobody waits longer than told",
        ("save", "load", "lock"),
        st.booleans(),
        _excludes,
        0.05,
    ),
    store_law(
        "a lock is let go of also when its block raises",
        ("save", "load", "lock"),
        _NOTHING,
        _lets_go,
    ),
    store_law(
        "who waits for a lock gets it when it is let go",
        ("save", "load", "lock"),
        _NOTHING,
        _waits,
    ),
    store_law("no step is lost under a lock", ("save", "load", "lock"), st.just(4), _counts, 0.01),
)

LOCK_LAWS = tuple(evolve(law, turns=TURNS_OF_REPLAY) for law in _OF_LOCKS)
"""Laws of locks."""

MOVE_LAWS = (
    store_law(
        "a move replaces what is there only when it is told to",
        ("save", "load", "move"),
        _MODES,
        _moves,
        0.1,
    ),
    store_law(
        "a folder is moved with all that is below it, and never into itself",
        ("save", "load", "move"),
        st.booleans(),
        _moves_all,
        0.05,
    ),
)
"""Laws of moves."""

LINK_LAWS = (
    store_law(
        "a link leads to its target",
        ("save", "load", "link", "stat", "list"),
        _NOTHING,
        _leads,
    ),
    store_law(
        "what is done to a link leaves its target",
        ("save", "load", "link", "stat", "list"),
        st.sampled_from(("delete", "replace")),
        _leaves_its_target,
        0.05,
    ),
    store_law(
        "a link that leads nowhere is listed, in the way, and can be replaced",
        ("save", "load", "link", "stat", "list"),
        st.booleans(),
        _breaks,
        0.05,
    ),
)
"""Laws of links."""

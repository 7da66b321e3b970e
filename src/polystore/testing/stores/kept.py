"""Laws of what stays: what was loaded, what is in a folder, and the time of the last change."""

from __future__ import annotations

import time

from hypothesis import strategies as st

from polystore.core.errors import NotAFile, NotFound
from polystore.testing.expect import done, expect, refused
from polystore.testing.sameness import difference
from polystore.testing.stores.trial import Trial, store_law

__all__ = ["KEPT_LAWS"]

_YEAR_2000_NS = 946_684_800 * 10**9
"""The beginning of 2000 in nanoseconds of Unix time: nothing is older that is saved now."""

_DAY_NS = 86_400 * 10**9
"""How far the clock of a store may be ahead."""


def _keeps_what_was_loaded(trial: Trial, longer: bool) -> None:
    key = trial.key("a")
    make = trial.kind.longer if longer else trial.kind.payload
    done(trial.save(key, make(0)), f"saving under {key!r}")
    loaded = done(trial.load(key), f"loading {key!r}").payload
    trial.replace(key, make(1))
    differs = difference(make(0), loaded)
    expect(differs is None, f"what was loaded of {key!r} changed when it was replaced: {differs}")


def _says_when(trial: Trial, _example: None) -> None:
    (key,) = trial.fill("a")
    before = _modified(trial, key)
    if before is None:
        return
    sane = _YEAR_2000_NS < before < time.time_ns() + _DAY_NS
    expect(sane, f"modified_ns is {before}, and should be the nanoseconds since 1970, of now")
    if trial.replace(key, trial.payload(1)):
        after = _modified(trial, key)
        expect(
            after is not None and after >= before,
            f"modified_ns was {before}, and is {after} after a replace",
        )


def _modified(trial: Trial, key: str) -> int | None:
    return done(trial.stat(key), f"stat of {key!r}").modified_ns


def _deletes_no_folder(trial: Trial, depth: int) -> None:
    filled = trial.fill("a/b/c", "a/b/d", "e")
    folder = trial.key("/".join(("a", "b")[:depth]))
    what = f"deleting {folder!r}, a folder with something in it,"
    # A store that has no folders may not know of it.
    refused(trial.delete(folder), what, NotAFile, NotFound)
    for key, payload in filled.items():
        trial.expect_under(key, payload)


KEPT_LAWS = (
    store_law(
        "what was loaded stays as it is when its key is replaced",
        ("save", "load"),
        st.booleans(),
        _keeps_what_was_loaded,
        0.02,
    ),
    store_law(
        "modified_ns is a time, and is not smaller after a replace",
        ("save", "load", "stat"),
        st.none(),
        _says_when,
    ),
    store_law(
        "a delete takes no folder that has something in it",
        ("save", "load", "delete"),
        st.sampled_from((1, 2)),
        _deletes_no_folder,
        0.02,
    ),
)
"""Laws of what a replace or a delete leaves."""

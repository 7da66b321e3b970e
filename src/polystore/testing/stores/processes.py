"""Laws of other processes: what they see, and what they leave when they are killed.

A child is given the record and the config by pickle. A record that is the registered one is found
in the default registry there, where its package has named it by an entry point.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Concatenate, ParamSpec

from attrs import evolve
from hypothesis import strategies as st

from polystore.core.errors import LockTimeout
from polystore.core.key import Key
from polystore.core.outcome import is_successful
from polystore.core.records import Backend, ByteStore, Encoded
from polystore.discover import default_registry
from polystore.testing.arrays import ArrayExample
from polystore.testing.expect import done, expect, refused
from polystore.testing.stores.elsewhere import PATIENCE_S, interrupted
from polystore.testing.stores.locks import SHORT_S, lock_of
from polystore.testing.stores.trial import StandIn, Trial, reaches_out, store_law, trial_of
from polystore.testing.stores.wording import OneConfig

if TYPE_CHECKING:
    from collections.abc import Generator

    from polystore.core.registry import Record

__all__ = ["PROCESS_LAWS", "do_task"]

P = ParamSpec("P")

_CHILD = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from polystore.testing.stores.processes import do_task; do_task(sys.stdin.buffer)"
)
"""What a child runs. It looks for modules where its parent does."""


def do_task(stream: BinaryIO) -> None:
    """Do, in a child, what the parent has pickled: a function on a trial of its config."""
    task, record, config, args, kwargs = pickle.load(stream)  # noqa: S301 - our parent's
    known = record or done(default_registry().find_store(config), "finding the record")
    with trial_of(known, OneConfig(config)) as trial:
        task(trial, *args, **kwargs)


@contextmanager
def _child(
    trial: Trial,
    task: Callable[Concatenate[Trial, P], None],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Generator[subprocess.Popen[bytes]]:
    """Start a process that does a task on the same config; it ends with the block."""
    given = (task, _sent(trial.record), trial.config, args, kwargs)
    words = pickle.dumps(sys.path) + pickle.dumps(given)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _CHILD]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and code
        command, stdin=pipe, stdout=pipe, stderr=pipe
    ) as child:
        try:
            if child.stdin is not None:
                child.stdin.write(words)
                child.stdin.flush()
            yield child
        finally:
            child.kill()


def _sent(record: Record) -> Record | None:
    """Give the record to pickle; `None` for one that the child finds by itself."""
    if _is_registered(record):
        return None
    expect(
        _is_pickled(record),
        "the record does not pickle, so no other process can be asked: put its functions and its "
        "config at the top level of a module (a script that is run is none)",
    )
    return record


def _is_registered(record: Record) -> bool:
    entries = default_registry().entries().stores
    return any(
        isinstance(record, (Backend, ByteStore))
        and entry.key is record.config
        and entry.load().value_or(None) is record
        for entry in entries
    )


def _is_pickled(record: Record) -> bool:
    """Whether another process can be given the record: what is of a script it would not find."""
    try:
        return b"__main__" not in pickle.dumps(record)
    except Exception:  # noqa: BLE001 - what cannot be pickled says so in many ways
        return False


def _reaches_processes(record: Record, /) -> bool:
    """Whether others than this process see what is saved, and can be given the record."""
    return reaches_out(record) and (_is_registered(record) or _is_pickled(record))


def _ended(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child, and give how it ended; what it raised breaks the law."""
    try:
        _, errors = child.communicate(timeout=2 * PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise AssertionError("the other process did not end") from error
    expect(child.returncode <= 0, f"the other process failed: {errors.decode(errors='replace')}")
    return child.returncode


def _sees(trial: Trial, kind: StandIn, keys: tuple[str, ...]) -> None:
    for number, key in enumerate(keys):
        trial.expect_under(key, kind.payload(number))
    trial.expect_listed(keys, " in another process")


def _is_seen(trial: Trial, _example: None) -> None:
    filled = trial.fill("a", "b/c")
    with _child(trial, _sees, trial.kind, tuple(filled)) as child:
        expect(_ended(child) == 0, "the other process was killed")


def _long(seed: int) -> ArrayExample:
    return ArrayExample("|u1", (20, 50_021), seed=seed)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dies(trial: Trial, key: str) -> None:
    """Save under a key, and die in the midst of it."""
    array = _long(2).array()

    def buffers() -> Iterator[bytes]:
        yield array[:10].tobytes()
        _die()

    if trial.backend.put is not None:
        trial.backend.put(trial.handle, Key(key), Encoded(buffers(), array.nbytes), "replace")
    else:
        lazy = interrupted(array, _die)
        if lazy is not None:
            trial.save(key, lazy, "replace")


def _leaves_nothing(trial: Trial, replaces: bool) -> None:
    filled = trial.fill("a/b", "c") if replaces else trial.fill("c")
    key = trial.key("a/b")
    with _child(trial, _dies, key) as child:
        killed = _ended(child) == -signal.SIGKILL
    if not killed:  # it refused what was to be saved in two parts
        return
    with trial.reopened() as other:
        for each, payload in filled.items():
            other.expect_under(each, payload)
        if not replaces:
            other.expect_nothing(key)
        other.expect_listed(filled, " after a writer was killed")
        if replaces and other.backend.children is not None:
            shown = [it.key for it in done(other.children(trial.key("a")), "the children")]
            expect(shown == [key], f"after a writer was killed, shown are {shown}")
        if other.replace(key, trial.payload(7)):
            other.expect_under(key, trial.payload(7))


def _holds(trial: Trial, key: str) -> None:
    """Hold the lock of a key until the parent ends this process."""
    with done(lock_of(trial, key, PATIENCE_S), f"locking {key!r}"):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        sys.stdin.read()


def _dies_holding(trial: Trial, _example: None) -> None:
    key = trial.key("a")
    trial.fill("b")
    with _child(trial, _holds, key) as child:
        said = child.stdout.readline() if child.stdout is not None else b""
        if said != b"held\n":
            raise AssertionError(
                f"the other process, which ended with {_ended(child)}, said {said!r}"
            )
        what = f"locking {key!r}, which another process holds"
        refused(lock_of(trial, key, SHORT_S), what, LockTimeout)
        child.kill()
        child.wait(PATIENCE_S)
        freed = lock_of(trial, key, PATIENCE_S)
        expect(is_successful(freed), f"{key!r} is locked by a process that is dead")
        with done(freed, f"locking {key!r}"):
            pass


_NOTHING = st.none()

PROCESS_LAWS = tuple(
    evolve(law, fits=_reaches_processes)
    for law in (
        store_law("another process sees what was saved", ("save", "load"), _NOTHING, _is_seen),
        store_law(
            "a writer that is killed leaves what was there",
            ("save", "load"),
            st.booleans(),
            _leaves_nothing,
            0.02,
        ),
        store_law(
            "a lock holds against other processes, and who dies lets go of it",
            ("save", "lock"),
            _NOTHING,
            _dies_holding,
        ),
    )
)
"""Laws of other processes: of stores that reach them, and whose record can be sent there."""

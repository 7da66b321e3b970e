"""Claims: which of several writers may write below a path of a store that has no locks.

A claim is a hidden object that only one writer can create, with a token of that writer in it, who
writes it anew from time to time. It is dead when its content has not changed for `stale_s`; then
another writer may follow it: by creating the object that is named by the dead token, which again
only one can. So the owner is the last of a chain, and nothing is ever taken away from a writer that
is alive. A writer that could not renew its claim for half that time stops before it is followed.

How long ago a claim was renewed is not asked of any clock but that of who waits for it.

A store that has locks is asked for one too, held as long as the claim: the system lets go of it
when its holder dies. So who holds the lock need not wait for a claim that was made under it on this
machine. Locks need not hold between machines; claims do.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import quote

from attrs import field, frozen

from polystore.backends.zarr.objects.bytesat import Bytes, StoreError
from polystore.backends.zarr.objects.node import CLAIM, joined
from polystore.core.errors import LockTimeout, Unavailable
from polystore.core.outcome import is_successful

__all__ = ["STALE_S", "Busy", "Claim", "claimed"]

STALE_S = 30.0
"""Seconds after which a claim that was not renewed is a dead writer's: six times as long as a
writer takes to renew it."""

_POLL_S = 0.05
_POLL_MAX_S = 1.0


class Busy(Exception):  # noqa: N818 - it is no error, but what another writer is
    """Another writer is alive, and at work."""


@frozen(eq=False)
class Claim:
    """A claim that is held: `followed` is what it follows, the names of dead writers' claims.

    `locked_on` is the machine where its lock is held; `""` for none.
    """

    content: Bytes
    path: str
    name: str
    token: str
    stale_s: float
    followed: tuple[str, ...]
    locked_on: str = ""
    renewed: list[float] = field(factory=list[float])
    ended: threading.Event = field(factory=threading.Event)

    def require(self) -> None:
        """Raise unless this writer may still write."""
        if not self._is_ours():
            raise StoreError(
                Unavailable(
                    self.path,
                    self.content.config,
                    f"The store did not answer for so long that another writer took {self.path!r}.",
                    "Save it again, unless the other one has.",
                )
            )

    def _is_ours(self) -> bool:
        if time.monotonic() - self.renewed[-1] > self.stale_s / 2:
            return False
        text = self.content.read(joined(self.path, self.name))
        return text is not None and text.decode().partition(" ")[0] == self.token

    def renew_until_ended(self) -> None:
        """Write the claim anew from time to time, until it is let go of or lost."""
        count = 0
        while not self.ended.wait(self.stale_s / 6):
            now, count = time.monotonic(), count + 1
            try:
                if not self._is_ours():
                    return
                text = _text(self.token, count, self.locked_on)
                self.content.put(joined(self.path, self.name), [text], "replace")
            except OSError:  # the store may answer the next time
                continue
            self.renewed[:] = [now]

    def keep(self) -> None:
        """Leave the claim as a dead writer would: who follows it deletes what is left here."""
        self.renewed[:] = [-self.stale_s]

    def release(self) -> None:
        """Let go of it, and of those that it follows; one that may have been followed stays."""
        if time.monotonic() - self.renewed[-1] <= self.stale_s / 2:
            for name in (*self.followed, self.name):
                self.content.delete(joined(self.path, name))


@contextmanager
def claimed(content: Bytes, path: str, stale_s: float, wait_s: float = 0.0) -> Generator[Claim]:
    """Hold the claim of a path within the block.

    `Busy` if another writer shows that it is alive, and is not done within `wait_s` seconds. A
    block that is left by an exception lets go of it too.
    """
    until = time.monotonic() + wait_s
    with _lock_of(content, path, max(wait_s, stale_s / 6)) as locked_on:
        claim = _taken(content, path, stale_s, until, locked_on)
        renewing = threading.Thread(target=claim.renew_until_ended, daemon=True)
        renewing.start()
        try:
            yield claim
        finally:
            claim.ended.set()
            renewing.join()
            claim.release()


@contextmanager
def _lock_of(content: Bytes, path: str, wait_s: float) -> Generator[str]:
    """Hold the lock of a claim, and give this machine; `""` where the store gives no lock."""
    lock = content.opened.backend.lock
    if lock is None:
        yield ""
        return
    held = lock(content.opened.handle, content.key_of(joined(path, CLAIM)), wait_s)
    if is_successful(held):
        with held.unwrap():
            yield _machine()
    elif isinstance(held.failure(), LockTimeout):
        raise Busy
    else:  # no locks there, or none for us: the claim does without
        yield ""


@cache
def _machine() -> str:
    """Give a word that another machine does not have, nor this one after it was started anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return quote(platform.node(), safe="") or "-"


def _text(token: str, count: int, locked_on: str) -> bytes:
    return f"{token} {count} {locked_on}".rstrip().encode()


def _taken(content: Bytes, path: str, stale_s: float, until: float, locked_on: str) -> Claim:
    token = os.urandom(12).hex()
    name, followed = CLAIM, list[str]()
    seen: tuple[bytes | None, float] = (None, time.monotonic())
    pause = _POLL_S
    while True:
        now = time.monotonic()
        if content.put(joined(path, name), [_text(token, 0, locked_on)], "fail"):
            return Claim(content, path, name, token, stale_s, tuple(followed), locked_on, [now])
        text = content.read(joined(path, name))
        if text is None:  # its writer has let go of it: the chain begins anew
            name, followed, seen = CLAIM, [], (None, now)
            continue
        let_go = bool(locked_on) and text.decode().rpartition(" ")[2] == locked_on
        if not let_go and seen[0] is not None and text != seen[0] and now > until:
            raise Busy
        if text != seen[0] and not let_go:
            seen, pause = (text, now), _POLL_S
        elif let_go or now - seen[1] > stale_s:
            followed.append(name)
            name, seen = f"{CLAIM}-{text.decode().partition(' ')[0]}", (None, now)
            continue
        time.sleep(pause)
        pause = min(pause * 1.5, _POLL_MAX_S, stale_s / 6)

"""The pool of handles: what is live (a socket, a connection, the content of a memory store)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from weakref import WeakSet

from polystore.core.errors import BackendNotRegistered
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Opened

__all__ = ["HandlePool"]


class HandlePool:
    """Opened stores by config. One pool belongs to one dispatcher, and so to one registry.

    Safe for threads: a config is opened once. Safe for forks: a child begins with an empty pool and
    leaves its parent's handles alone.

    >>> from polystore import MemoryConfig, default_dispatcher
    >>> pool = HandlePool()
    >>> one, again = [pool.get(MemoryConfig(), lambda: default_dispatcher().open(MemoryConfig()))
    ...               for _ in range(2)]
    >>> one.unwrap() is again.unwrap()
    True
    """

    def __init__(self) -> None:
        """Make an empty pool."""
        self.forget()
        _pools_of_this_process().add(self)

    def forget(self) -> None:
        """Leave every handle as it is, unclosed: in a forked child they are the parent's."""
        # A new lock too: at the fork, a thread that the child does not have may have held the old.
        self._lock = threading.RLock()
        self._opened: dict[object, Opened] = {}

    def get(self, config: object, make: Callable[[], Outcome[Opened]]) -> Outcome[Opened]:
        """Give what the config opened before, or what `make` opens now. A failure is not kept.

        `BackendNotRegistered` for what cannot be a config, because it cannot be hashed.
        """
        try:
            found = self._opened.get(config)
        except TypeError:
            return Failure(_no_config(config))
        if found is not None:
            return Success(found)
        with self._lock:
            found = self._opened.get(config)
            made = make() if found is None else Success(found)
            if is_successful(made):
                self._opened[config] = made.unwrap()
            return made

    def configs(self) -> frozenset[object]:
        """Give the configs that are open."""
        with self._lock:
            return frozenset(self._opened)

    def close(self, keep: frozenset[object] = frozenset()) -> None:
        """Close every handle but those of the configs to keep, the latest first.

        Each is closed, also where the closing of another raises.
        """
        with self._lock, ExitStack() as closing:
            for config in [config for config in self._opened if config not in keep]:
                opened = self._opened.pop(config)
                closing.callback(opened.backend.close, opened.handle)


def _no_config(config: object) -> BackendNotRegistered:
    return BackendNotRegistered(
        "",
        config,
        f"A {type(config).__name__} is no config of a store: it cannot be hashed.",
        'Give a config, such as DiskConfig(root="plate").',
    )


@cache
def _pools_of_this_process() -> WeakSet[HandlePool]:
    """Give the set of all pools; a child forked from this process has each of them forget.

    One hook for all: a hook cannot be taken back, and worker processes make pools without end.
    """
    pools = WeakSet[HandlePool]()

    def forget_in_child() -> None:
        for pool in tuple(pools):
            pool.forget()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget_in_child)
    return pools

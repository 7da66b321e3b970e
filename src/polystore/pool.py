"""The pool of handles: what is live (a socket, a connection, the content of a memory store)."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from polystore.core.outcome import Outcome, Success, is_successful
from polystore.core.records import Opened

__all__ = ["HandlePool"]


class HandlePool:
    """Opened stores by config. One pool belongs to one dispatcher, and so to one registry.

    Safe for threads: a config is opened once. Safe for forks: a child begins with an empty pool and
    leaves its parent's handles alone.
    """

    def __init__(self) -> None:
        """Make an empty pool."""
        self._forget()
        pool = weakref.ref(self)

        def forget_in_child() -> None:
            found = pool()
            if found is not None:
                found._forget()

        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=forget_in_child)

    def _forget(self) -> None:
        self._lock = threading.RLock()
        self._opened: dict[object, Opened] = {}

    def get(self, config: object, make: Callable[[], Outcome[Opened]]) -> Outcome[Opened]:
        """Give what the config opened before, or what `make` opens now. A failure is not kept."""
        found = self._opened.get(config)
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
        return frozenset(self._opened)

    def close(self, keep: frozenset[object] = frozenset()) -> None:
        """Close every handle but those of the configs to keep, the latest first."""
        with self._lock:
            for config in [config for config in reversed(self._opened) if config not in keep]:
                opened = self._opened.pop(config)
                opened.backend.close(opened.handle)

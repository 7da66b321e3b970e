"""The lock of a node, for those who change what is in it and do not replace it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import partial

from polystore.backends.filelock import folder_lock
from polystore.core.outcome import Outcome

__all__ = ["LOCK_SECONDS", "node_lock"]

LOCK_SECONDS = 60.0
"""How long a change waits for those before it; each holds the lock for what it must do alone."""


def node_lock(
    parent: int, name: str, key: str, config: object
) -> Outcome[AbstractContextManager[None]]:
    """Lock a node by its name in the folder that it is in, by whatever path one came there.

    It is another lock than that of the key, which is the users'.
    """
    return folder_lock(partial(os.dup, parent), name, key, LOCK_SECONDS, config)

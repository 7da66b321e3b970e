"""Memory: items in this process, by the name of the store. What is saved is a snapshot.

Nothing that is saved or loaded shares memory with the store. Arrays stay of their framework and on
their device; deleting one frees it. Folders are real, as on disk: made ones, and those of a save,
stay until they are deleted. A link leads to a key of the same store.
"""

from __future__ import annotations

from polystore.backends.memory.folders import (
    close_memory,
    delete_node,
    list_children,
    list_keys,
    make_folder,
    move_node,
)
from polystore.backends.memory.handle import Memory
from polystore.backends.memory.items import link_to, load_item, save_item, stat_node
from polystore.backends.memory.locks import lock_key
from polystore.configs import MemoryConfig
from polystore.core.outcome import Outcome, Success
from polystore.core.records import Backend, Context, Reach

__all__ = ["MEMORY", "Memory"]


def _open(config: MemoryConfig, context: Context, /) -> Outcome[Memory]:
    return Success(Memory(config, context))


MEMORY: Backend[MemoryConfig, Memory] = Backend(
    name="memory",
    config=MemoryConfig,
    reach=Reach.PROCESS,
    open=_open,
    close=close_memory,
    load=load_item,
    save=save_item,
    stat=stat_node,
    list=list_keys,
    children=list_children,
    make_folder=make_folder,
    delete=delete_node,
    move=move_node,
    link=link_to,
    lock=lock_key,
)
"""The record of memory stores."""

"""The configs of folders and of memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, TypeAlias

from attrs import field, frozen

from polystore.core.payload import Payload
from polystore.core.records import Limits, Store

__all__ = ["DiskConfig", "Durability", "MemoryConfig", "absolute"]


def absolute(root: str | os.PathLike[str]) -> str:
    """Give a root as every process means it: absolute, a leading `~` expanded.

    >>> absolute("/data/plate")
    '/data/plate'
    """
    # A Path expands no `~` of a user whom it does not know: it raises; a shell keeps it.
    return str(Path(os.path.expanduser(root)).absolute())  # noqa: PTH111 - see above


Durability: TypeAlias = Literal["atomic", "fsync"]
"""What a save on disk promises beyond being whole to readers: nothing, or to outlast a crash."""


@frozen
class DiskConfig(Store[Payload, Payload]):
    """Files in a folder.

    `root` is made absolute when the config is made, so that it means the same folder in every
    process and after a `chdir`; a leading `~` is the home folder, as in a shell. It need not exist.
    `durability="fsync"` also orders data, rename and directory to the disk before a save returns;
    the default promises that a reader, or a killed process, never leaves or sees half a file.
    `max_bytes` is the most that one decoded file may take (`TooLarge` beyond it; 16 GiB).

    Nothing is read or written outside of the root, through a link either; but links may lead to the
    roots of the stores in `links_to`, as those of `mirror` and `create_symlink` do.

    >>> DiskConfig(root="/data/plate").root
    '/data/plate'
    >>> view = DiskConfig(root="/data/view", links_to=(DiskConfig(root="/data/plate"),))
    """

    root: str = field(converter=absolute)
    durability: Durability = "atomic"
    max_bytes: int = Limits().max_bytes
    links_to: tuple[DiskConfig, ...] = ()


@frozen
class MemoryConfig(Store[Payload, Payload]):
    """A store in the memory of this process, found by its name.

    Two configs of one name are the same store. Its content goes when its handle is closed.

    >>> MemoryConfig(name="scratch")
    MemoryConfig(name='scratch')
    """

    name: str = "default"

"""Where the nodes of a Zarr store are, as functions: in a folder, or under keys of bytes.

Arrays, images and plates are read and written through these, and know nothing of descriptors or
of object storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Generic, TypeVar, cast

from attrs import frozen

from polystore.configs import ZarrConfig
from polystore.core.key import Key
from polystore.core.outcome import Outcome
from polystore.core.records import Buffer, Child, Context, IfExists, Page, Readable

__all__ = ["Files", "Growing", "Held", "Seen", "Tree", "ZarrStore", "read_node"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@frozen
class Growing:
    """A new file that grows at its end, by one caller at a time. `finish` is called once, last.

    A file that was not finished does not count.
    """

    append: Callable[[Sequence[Buffer]], None]
    finish: Callable[[], None]


@frozen
class Files:
    """The files of one node, by their paths below it (`"zarr.json"`, `"c/0/1"`, `"0/zarr.json"`).

    All are of one generation, whatever its key has come to mean since, where the tree can promise
    that. The functions are safe to call from several threads, and raise `OSError`.

    - `open(path)`: the file, to be closed by the caller; `None` where there is none.
    - `create(path)`: a new file. Folders on the way are made.
    - `names()`: the paths of all files below the node, in no order.
    - `mark()`: when the node changed last, in nanoseconds since the epoch, and a token that is
      another one for every other generation; either may be `None`.
    - `waits`: whether most of the time of a read is spent waiting, as for an answer of a server:
      many are then read at once.
    """

    open: Callable[[str], Readable | None]
    create: Callable[[str], Growing]
    names: Callable[[], Iterator[str]]
    mark: Callable[[], tuple[int | None, str | None]]
    waits: bool = False


@frozen
class Seen(Generic[T_co]):
    """What reading the files of a node gave.

    Unless it is `complete`, something that should have been there was missing: it counts only if
    the node has not been replaced meanwhile; else the tree reads again.
    """

    outcome: Outcome[T_co]
    complete: bool = True


@frozen
class Held:
    """The files of a node that stay readable until `close`, also when it is replaced."""

    files: Files
    close: Callable[[], None]


@frozen(kw_only=True)
class Tree:
    """What can be done with the nodes below a root. Every outcome's errors name key and config.

    - `read(key, look)`: what `look` sees of a node, once it has seen one generation. `NotFound`
      where nothing is. `""` is the root. A link (of either kind) is followed. Typed `read_node`.
    - `hold(key)`: the files of a node, for a lazy array: what was there when it was held.
    - `build(key, if_exists, fill)`: make a node out of the files that `fill` creates; its documents
      (`zarr.json`, `.zarray`, …) are created last. It comes whole, or not: also when killed. Groups
      above are made. `False` if skipped. What is no item of the store's layout is never replaced.
    - `patch(key, change)`: replace some files of a node by those that `change(old, new)` creates in
      `new`: all of them in one step to every reader, and one patch of a node after the other.
    - `amend(folder, change)`: replace the `zarr.json` (or `.zattrs`) of a group, made if missing,
      by what `change` makes of its attributes: under a lock, so that no change of another is lost.
      The attributes as `change` gives them are written only if they differ. The group of an
      image's labels is not made (`NotFound`).
    - `copy_in(key, files, if_exists)`: `build` out of all files of a node of any tree, as they are.
    - `link(key)`: where the link under a key (of either kind) says that it leads, or `None`.
    - the rest is as in `Backend`.
    """

    read: Callable[[str, Callable[[Files], Seen[object]]], Outcome[object]]
    hold: Callable[[str], Outcome[Held]]
    build: Callable[[Key, IfExists, Callable[[Files], Outcome[None]]], Outcome[bool]]
    patch: Callable[[Key, Callable[[Files, Files], Outcome[None]]], Outcome[None]]
    amend: Callable[[str, Callable[[dict[str, object]], dict[str, object]]], Outcome[None]]
    copy_in: Callable[[Key, Files, IfExists], Outcome[bool]]
    link: Callable[[str], str | None]
    list: Callable[[str], Iterator[Outcome[Page]]]
    children: Callable[[str], Iterator[Outcome[tuple[Child, ...]]]] | None
    make_folder: Callable[[Key], Outcome[None]] | None
    delete: Callable[[Key], Outcome[None]]
    move: Callable[[Key, Key, IfExists], Outcome[bool]] | None
    lock: Callable[[Key, float], Outcome[AbstractContextManager[None]]] | None


@frozen
class ZarrStore:
    """The handle of a Zarr store: nothing is open in it."""

    config: ZarrConfig
    context: Context
    tree: Tree


def read_node(tree: Tree, key: str, look: Callable[[Files], Seen[T]]) -> Outcome[T]:
    """Give what `look` sees of a node, as `Tree.read` does, with its type."""
    return cast("Outcome[T]", tree.read(key, look))

"""What a memory store holds: folders of items, links and folders; and the way to a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from attrs import field, frozen

from polystore.core.item import Item
from polystore.core.key import Key
from polystore.core.payload import Payload
from polystore.core.records import Child

__all__ = [
    "LINKS_MAX",
    "DeadEnd",
    "Folder",
    "Link",
    "Node",
    "Spot",
    "Stored",
    "children_of",
    "find",
    "keys_below",
    "leads_to",
    "put_at",
]

LINKS_MAX = 40
"""Links that are followed for one key, as by Linux (MAXSYMLINKS): more are a circle."""


@frozen(eq=False)
class Stored:
    """An item, when it was saved, in nanoseconds since the epoch, and the how manieth it was.

    The item is never changed, and nobody else has it.
    """

    item: Item[Payload]
    modified_ns: int
    number: int


@frozen(eq=False)
class Link:
    """A link to a key of the same store, whether something is there or not."""

    target: Key


@frozen(eq=False)
class Folder:
    """What has a name in a folder."""

    entries: dict[str, Node] = field(factory=dict[str, "Node"])


Node: TypeAlias = Stored | Link | Folder


@frozen
class Spot:
    """Where a key leads.

    `above` are the folders on the way, the top first; `missing` the names of those that come next
    and are not there; `name` is the last part, and `node` what has it.
    """

    above: tuple[Folder, ...]
    missing: tuple[str, ...]
    name: str
    node: Node | None


@frozen
class DeadEnd:
    """Why a key leads nowhere: what stands at a part of it, which is not the last one."""

    kind: Literal["item", "broken link", "circle"]
    part: str


def find(
    top: Folder, key: str, *, follow: bool, seen: list[tuple[Folder, str]] | None = None
) -> Spot | DeadEnd:
    """Give where a key leads. Links on the way are followed; at its end if `follow`.

    `seen` gets each folder on the way, with the name that is looked up in it.

    >>> top = Folder({"b": Link(Key("a")), "a": Folder()})
    >>> found = find(top, "b/c", follow=False)
    >>> isinstance(found, Spot) and found.above[-1] is top.entries["a"]
    True
    """
    parts = key.split("/")
    waiting = parts[::-1]
    own = len(parts) + 1  # as many of those waiting are the key's own, and not of a link in it
    above = [top]
    links = 0
    while True:
        name = waiting.pop()
        if seen is not None:
            seen.append((above[-1], name))
        node = above[-1].entries.get(name)
        part = "/".join(parts[: len(parts) - min(len(waiting), own)])
        if isinstance(node, Link) and (waiting or follow):
            links += 1
            if links > LINKS_MAX:
                return DeadEnd("circle", part)
            own = min(own, len(waiting))
            waiting.extend(reversed(node.target.split("/")))
            above = [top]
        elif not waiting:
            return Spot(tuple(above), (), name, node)
        elif isinstance(node, Folder):
            above.append(node)
        elif node is not None:
            return DeadEnd("item", part)
        elif len(waiting) >= own:
            return DeadEnd("broken link", part)
        else:
            return Spot(tuple(above), (name, *reversed(waiting[1:])), waiting[0], None)


def leads_to(top: Folder, key: str, spot: Spot) -> bool:
    """Whether a key leads where another does, or through it.

    >>> top = Folder({"a": Link(Key("b"))})
    >>> spots = [find(top, key, follow=False) for key in ("a", "b", "c")]
    >>> [leads_to(top, "a", spot) for spot in spots if isinstance(spot, Spot)]
    [True, True, False]
    """
    seen: list[tuple[Folder, str]] = []
    end = find(top, key, follow=True, seen=seen)
    if not spot.missing:
        return (spot.above[-1], spot.name) in seen
    if isinstance(end, DeadEnd) or end.above[-1] is not spot.above[-1]:
        return False
    wanted = (*spot.missing, spot.name)
    return (*end.missing, end.name)[: len(wanted)] == wanted


def put_at(spot: Spot, node: Node) -> None:
    """Put something where a key leads, instead of what is there; missing folders are made."""
    folder = spot.above[-1]
    for name in spot.missing:
        made = Folder()
        folder.entries[name] = made
        folder = made
    folder.entries[spot.name] = node


def keys_below(top: Folder, folder: Folder, prefix: str) -> Iterator[Key]:
    """Give the keys of all items below a folder, and of the links that lead to no folder."""
    waiting = [(prefix, folder)]
    while waiting:
        prefix, folder = waiting.pop()
        for name, node in folder.entries.items():
            if isinstance(node, Folder):
                waiting.append((f"{prefix}{name}/", node))
            elif isinstance(node, Stored) or not _is_folder(top, node.target):
                yield Key(prefix + name)


def _is_folder(top: Folder, key: Key) -> bool:
    found = find(top, key, follow=True)
    return isinstance(found, Spot) and isinstance(found.node, Folder)


def children_of(folder: Folder, prefix: str) -> Iterator[Child]:
    """Give what stands directly in a folder."""
    kinds: dict[type[Node], Literal["file", "folder", "link"]] = {
        Stored: "file",
        Folder: "folder",
        Link: "link",
    }
    return (Child(Key(prefix + name), kinds[type(node)]) for name, node in folder.entries.items())

"""The oracle of stores: what a dict of keys holds after an operation, and what may be answered.

It names no store. Where stores may differ, every answer that is right is allowed, and what became
of the store is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from attrs import field, frozen

__all__ = ["Answers", "File", "Folder", "Link", "Node", "Tree", "folders_of"]

Answers: TypeAlias = frozenset[str]
"""What an operation may answer: `"done"`, `"skipped"`, or the names of errors."""

_LINKS_MAX = 10
"""Links that are followed: the keys of the machine have fewer."""


@frozen
class File:
    """A payload, by its number."""

    value: int


@frozen
class Folder:
    """A folder: `made` for its own sake, or only on the way to a file."""

    made: bool


@frozen
class Link:
    """A link to a key; `None` for one that was moved, which may lead elsewhere now."""

    target: str | None


Node: TypeAlias = File | Folder | Link


def folders_of(key: str) -> tuple[str, ...]:
    """Give the folders that a key is in, the outermost first.

    >>> folders_of("a/b/c")
    ('a', 'a/b')
    """
    parts = key.split("/")
    return tuple("/".join(parts[:depth]) for depth in range(1, len(parts)))


@frozen
class Tree:
    """A dict from keys to what stands there; folders are keys, too.

    `touched` are all keys that an operation named, and the folders that those are in: an operation
    that fails may leave folders that it made on the way.
    """

    nodes: dict[str, Node] = field(factory=dict[str, Node])
    touched: set[str] = field(factory=set[str])

    def below(self, folder: str) -> tuple[str, ...]:
        """Give all that stands below a folder."""
        prefix = f"{folder}/" if folder else ""
        return tuple(key for key in self.nodes if key.startswith(prefix))

    def end_of(self, key: str) -> Node | None:
        """Give what stands under a key, links followed; the last link where it leads nowhere."""
        node = self.nodes.get(key)
        for _ in range(_LINKS_MAX):
            if not isinstance(node, Link) or node.target is None:
                return node
            further = self.nodes.get(node.target)
            if further is None:
                return node
            node = further
        return node

    def doubtful(self) -> Iterator[str]:
        """Give, the deepest first, the folders of which only the store can say if they are there.

        They are those that were made on the way to something, and have nothing in them.
        """
        for key in sorted(self.touched, key=len, reverse=True):
            node = self.nodes.get(key)
            empty = isinstance(node, Folder) and not node.made and not self.below(key)
            if node is None or empty:
                yield key

    def put(self, key: str, node: Node) -> None:
        """Put something under a key, and make the folders that it is in."""
        for folder in folders_of(key):
            self.nodes.setdefault(folder, Folder(made=False))
        self.nodes[key] = node

    def move(self, old: str, new: str) -> None:
        """Move what stands under a key, with all below it."""
        for key in (old, *self.below(old)):
            node = self.nodes.pop(key)
            self.put(new + key.removeprefix(old), Link(None) if isinstance(node, Link) else node)

    def answers_to_put(self, key: str, if_exists: str) -> Answers:
        """Give what a save or a link may answer."""
        if self._is_below_file(key):
            return frozenset(("NotADirectory",))
        match self.nodes.get(key):
            case None:
                return frozenset(("done",))
            case Folder():
                return frozenset(("NotAFile",))
            case File():
                return _in_the_way(if_exists)
            case Link():
                return self._answers_on_link(key, if_exists)

    def _answers_on_link(self, key: str, if_exists: str) -> Answers:
        answers = _in_the_way(if_exists)
        leads_to = self.end_of(key)
        if isinstance(leads_to, File) and self.nodes[key] != Link(None):
            return answers
        also = ("AlreadyExists",) if if_exists == "skip" else ()
        return answers.union(also, () if leads_to == self.nodes[key] else ("NotAFile",))

    def answers_to_delete(self, key: str) -> Answers:
        """Give what a delete may answer."""
        match self.nodes.get(key):
            case None if self._is_below_file(key):
                return frozenset(("NotFound", "NotADirectory"))
            case None:
                return frozenset(("NotFound",))
            case Folder() if self.below(key):
                return frozenset(("NotAFile",))
            case _:
                return frozenset(("done",))

    def answers_to_folder(self, key: str) -> Answers:
        """Give what the making of a folder may answer."""
        if self._is_below_file(key):
            return frozenset(("NotADirectory",))
        if isinstance(self.nodes.get(key), (File, Link)):
            return frozenset(("NotADirectory", "NotAFile", "AlreadyExists"))
        return frozenset(("done",))

    def answers_to_move(self, old: str, new: str, if_exists: str) -> Answers:
        """Give what a move may answer."""
        source, target = self.nodes.get(old), self.nodes.get(new)
        into_itself = frozenset(("InvalidKey",)) if new.startswith(f"{old}/") else Answers()
        if source is None:
            return into_itself | {"NotFound", "NotADirectory"}
        if old == new:
            return frozenset(("done",))
        if into_itself:
            return into_itself if isinstance(source, Folder) else into_itself | {"NotADirectory"}
        if self._is_below_file(new):
            return frozenset(("NotADirectory",))
        if isinstance(source, Link) and if_exists == "replace" and not isinstance(target, Folder):
            # Where it would lead to itself: what it replaced would be gone.
            circle = frozenset(("InvalidKey",))
            certain = target is not None and self._leads_over(old, new)
            return circle if certain else circle | {"done", "UnsupportedOperation"}
        if target is None:
            return frozenset(("done",))
        if not isinstance(source, Folder) and not isinstance(target, Folder):
            return _in_the_way(if_exists)
        return frozenset(("AlreadyExists", *(("skipped",) if if_exists == "skip" else ())))

    def _leads_over(self, link: str, key: str) -> bool:
        """Whether a link, or one that it leads to, leads to a key."""
        seen: set[str] = set()
        node = self.nodes.get(link)
        while isinstance(node, Link) and node.target is not None and node.target not in seen:
            if node.target == key:
                return True
            seen.add(node.target)
            node = self.nodes.get(node.target)
        return False

    def _is_below_file(self, key: str) -> bool:
        return any(isinstance(self.nodes.get(folder), File) for folder in folders_of(key))


def _in_the_way(if_exists: str) -> Answers:
    if if_exists == "replace":  # a store whose keys are written once refuses
        return frozenset(("done", "UnsupportedOperation"))
    return frozenset(("AlreadyExists" if if_exists == "fail" else "skipped",))

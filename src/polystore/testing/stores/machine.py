"""The law that a store does what a dict does: operations at random, against the oracle."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen
from hypothesis import strategies as st

from polystore.core.outcome import is_successful
from polystore.core.records import IfExists
from polystore.testing.expect import done, expect, refused, word_of
from polystore.testing.sameness import difference
from polystore.testing.stores.tree import Answers, File, Folder, Link, Tree, folders_of
from polystore.testing.stores.trial import Trial, store_law

__all__ = [
    "MACHINE_LAWS",
    "DeleteIt",
    "LinkIt",
    "MakeFolder",
    "MoveIt",
    "Operation",
    "SaveIt",
    "operations",
]


@frozen
class SaveIt:
    """Save the payload of a number under a key."""

    key: str
    value: int
    if_exists: IfExists


@frozen
class DeleteIt:
    """Delete what is under a key."""

    key: str


@frozen
class MakeFolder:
    """Make a folder."""

    key: str


@frozen
class MoveIt:
    """Move what is under a key."""

    old: str
    new: str
    if_exists: IfExists


@frozen
class LinkIt:
    """Make a link to another key."""

    key: str
    target: str
    if_exists: IfExists


Operation: TypeAlias = SaveIt | DeleteIt | MakeFolder | MoveIt | LinkIt
"""One operation on a store. A suffix is added to each part of its keys."""

KEYS = ("a", "b", "a/a", "a/b", "b/a", "a/a/a", "ab")
"""Keys that stand in each other's way."""

LINKS = ("l", "a/l")
"""Keys of links: nothing is saved below them, for then it would matter where they lead."""

_MODES: st.SearchStrategy[IfExists] = st.sampled_from(("fail", "replace", "skip"))


def operations() -> st.SearchStrategy[list[Operation]]:
    """Give operations on a few keys, which stand in each other's way.

    >>> from hypothesis import find
    >>> find(operations(), lambda found: any(isinstance(it, DeleteIt) for it in found))
    [DeleteIt(key='a')]
    """
    plain, links = st.sampled_from(KEYS), st.sampled_from(LINKS)
    # Not `plain | links`: hypothesis takes out of a list what is made of few choices.
    both = st.sampled_from((*KEYS, *LINKS))
    one: st.SearchStrategy[Operation] = st.one_of(
        st.builds(SaveIt, both, st.integers(0, 9), _MODES),
        st.builds(DeleteIt, both),
        st.builds(SaveIt, plain, st.integers(0, 9), _MODES),
        st.builds(MoveIt, plain, plain, _MODES),
        st.builds(MakeFolder, plain),
        st.builds(LinkIt, links, both, _MODES),
        st.builds(MoveIt, links, links, _MODES),
    )
    return st.lists(one, min_size=1, max_size=8)


def _keys_of(operation: Operation) -> tuple[str, ...]:
    if isinstance(operation, MoveIt):
        return operation.old, operation.new
    return (operation.key,)


@frozen
class _Machine:
    """A store, and the oracle of it."""

    trial: Trial
    tree: Tree = field(factory=Tree)

    @property
    def has_folders(self) -> bool:
        """Whether the store has folders of its own, which may be empty."""
        backend = self.trial.backend
        return backend.make_folder is not None or backend.children is not None

    def run(self, operation: Operation) -> None:
        """Do one operation on both, if the store can."""
        backend = self.trial.backend
        match operation:
            case SaveIt():
                self._save(operation)
            case DeleteIt() if backend.delete is not None:
                self._delete(operation)
            case MakeFolder() if backend.make_folder is not None:
                self._make_folder(operation)
            case MoveIt() if backend.move is not None:
                self._move(operation)
            case LinkIt() if backend.link is not None:
                self._link(operation)
            case _:
                return
        for key in _keys_of(operation):
            self.tree.touched.update((key, *folders_of(key)))
        self._ask()

    def _save(self, it: SaveIt) -> None:
        key = self.trial.key(it.key)
        outcome = self.trial.save(key, self.trial.payload(it.value), it.if_exists)
        status = outcome.map(lambda saved: saved.status == "written").value_or(False)
        answers = self.tree.answers_to_put(it.key, it.if_exists)
        word = "skipped" if is_successful(outcome) and not status else word_of(outcome, str(it))
        if self._answered(it, word, answers):
            self.tree.put(it.key, File(it.value))

    def _delete(self, it: DeleteIt) -> None:
        outcome = self.trial.delete(self.trial.key(it.key))
        if self._answered(it, word_of(outcome, str(it)), self.tree.answers_to_delete(it.key)):
            del self.tree.nodes[it.key]

    def _make_folder(self, it: MakeFolder) -> None:
        outcome = self.trial.make_folder(self.trial.key(it.key))
        if self._answered(it, word_of(outcome, str(it)), self.tree.answers_to_folder(it.key)):
            for folder in (*folders_of(it.key), it.key):
                self.tree.nodes[folder] = Folder(made=True)

    def _move(self, it: MoveIt) -> None:
        outcome = self.trial.move(self.trial.key(it.old), self.trial.key(it.new), it.if_exists)
        word = "skipped" if not outcome.value_or(True) else word_of(outcome, str(it))
        answers = self.tree.answers_to_move(it.old, it.new, it.if_exists)
        if self._answered(it, word, answers) and it.old != it.new:
            self.tree.move(it.old, it.new)

    def _link(self, it: LinkIt) -> None:
        key, target = self.trial.key(it.key), self.trial.key(it.target)
        outcome = self.trial.link(key, target, it.if_exists)
        word = "skipped" if not outcome.value_or(True) else word_of(outcome, str(it))
        if self._answered(it, word, self.tree.answers_to_put(it.key, it.if_exists)):
            self.tree.put(it.key, Link(it.target))

    def _answered(self, it: Operation, word: str, answers: Answers) -> bool:
        """Whether it was done; raises if that was no right answer."""
        told = word or "done"
        expect(
            told in answers,
            f"{it} was {told}, and should be {' or '.join(sorted(answers))}; "
            f"before it there were {self.tree.nodes}",
        )
        return told == "done"

    def _ask(self) -> None:
        """Ask the store which of the folders that may have gone are still there."""
        for key in self.tree.doubtful():
            stat = self.trial.stat(self.trial.key(key))
            there = is_successful(stat) and stat.unwrap().kind == "folder"
            expect(
                self.has_folders or not there,
                f"{key!r} is a folder without a key below it, in a store that makes no folders",
            )
            if there:
                self.tree.nodes.setdefault(key, Folder(made=False))
            else:
                self.tree.nodes.pop(key, None)

    def compare(self) -> None:
        """Ask the store for all that it holds, by every key and every listing."""
        for key in (*KEYS, *LINKS):
            self._compare_key(key)
        known = {key for key, node in self.tree.nodes.items() if node != Link(None)}
        for folder in (
            "",
            *(key for key in sorted(known) if isinstance(self.tree.nodes[key], Folder)),
        ):
            self._compare_listing(folder, known)
            if self.trial.backend.children is not None:
                self._compare_children(folder)

    def _compare_key(self, words: str) -> None:
        key, node = self.trial.key(words), self.tree.nodes.get(words)
        stat, end = self.trial.stat(key), self.tree.end_of(words)
        if node is None or end is None:
            refused(stat, f"stat of {key!r}, where nothing is,")
            refused(self.trial.load(key), f"loading {key!r}, where nothing is,")
            return
        found = done(stat, f"stat of {key!r}")
        is_link = isinstance(node, Link)
        expect((found.link is not None) == is_link, f"{key!r} is {node}; stat gives {found}")
        if end == Link(None):
            return
        kinds = {File: "file", Folder: "folder", Link: "broken link"}
        wanted = kinds[type(end)]
        expect(found.kind == wanted, f"{key!r} is {node} and leads to {end}; stat gives {found}")
        if isinstance(end, File):
            self.trial.expect_under(key, self.trial.payload(end.value))
        else:
            refused(self.trial.load(key), f"loading {key!r}, which leads to {end}")

    def _compare_listing(self, folder: str, known: set[str]) -> None:
        name = self.trial.key(folder) if folder else ""
        listed = self.trial.every_key(name)
        wanted = {
            self.trial.key(key)
            for key in self.tree.below(folder)
            if not isinstance(self.tree.end_of(key), Folder)
        }
        sure = {self.trial.key(key) for key in known} & wanted
        expect(
            sure <= listed <= wanted,
            f"below {name!r}, listed are {sorted(listed)}; there are {sorted(wanted)}",
        )

    def _compare_children(self, folder: str) -> None:
        name = self.trial.key(folder) if folder else ""
        if not folder and not self.tree.nodes:
            return
        shown = done(self.trial.children(name), f"the children of {name!r}")
        kinds = {File: "file", Folder: "folder", Link: "link"}
        wanted = {
            (self.trial.key(key), kinds[type(node)])
            for key, node in self.tree.nodes.items()
            if key.rpartition("/")[0] == folder
        }
        found = sorted((str(child.key), child.kind) for child in shown)
        expect(
            found == sorted(wanted),
            f"in {name!r}, shown are {found}; there are {sorted(wanted)}",
        )


def _does_what_a_dict_does(trial: Trial, done_in_turn: list[Operation]) -> None:
    machine = _Machine(trial)
    for operation in done_in_turn:
        machine.run(operation)
    machine.compare()


def _replaces(trial: Trial, numbers: list[int]) -> None:
    """Save again and again: the last one holds."""
    key = trial.key("a")
    saved = [number for number in numbers if trial.replace(key, trial.payload(number))]
    loaded = done(trial.load(key), f"loading {key!r}").payload
    differs = difference(trial.payload(saved[-1]), loaded)
    expect(differs is None, f"after {len(saved)} saves, the last does not hold: {differs}")


MACHINE_LAWS = (
    store_law(
        "a store does what a dict does",
        ("save", "load", "stat", "list"),
        operations(),
        _does_what_a_dict_does,
        3.0,
    ),
    store_law(
        "the last save holds",
        ("save", "load"),
        st.lists(st.integers(0, 9), min_size=2, max_size=4),
        _replaces,
        0.1,
    ),
)
"""The law of all operations together."""

"""Trees of links between stores, as hostile as can be built: what opens lies where it may."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from polystore import DiskConfig
from polystore.backends.beneath import LOOK, open_key

parts = st.sampled_from(("a", "b", "c", "..", ".", ""))
places = st.lists(parts, max_size=4).map("/".join)
targets = st.builds(
    "{}/{}".format, st.sampled_from(("{view}", "{plate}", "{far}", "{outside}", "")), places
) | places.filter(bool)
trees = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map("/".join),
    st.none() | targets,
    max_size=5,
)
keys = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
NAMES = ("view", "plate", "far", "outside")


def build(base: str, name: str, tree: Mapping[str, str | None]) -> None:
    Path(base, name).mkdir()
    roots = {each: f"{base}/{each}" for each in NAMES}
    for key, target in tree.items():
        path = Path(base, name, key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(exist_ok=False) if target is None else path.symlink_to(
                target.format(**roots)
            )
        except (FileExistsError, NotADirectoryError):
            continue


def inodes(*folders: str) -> Iterator[int]:
    for folder in folders:
        yield os.lstat(folder).st_ino
        yield from (os.lstat(path).st_ino for path in Path(folder).rglob("*"))


@given(trees, trees, trees, keys)
@example({"a": "{plate}"}, {"a": "{far}/"}, {"a": None}, "a/a/a")
@example({"a": "{plate}/.."}, {}, {}, "a/b")
@example({"a": "{far}/a"}, {}, {"a": None}, "a")
@example({"a": "{plate}/a"}, {"a": "{view}/b"}, {"b": None}, "a")
def test_what_is_opened_lies_in_a_root_that_is_named(
    in_view: Mapping[str, str | None],
    in_plate: Mapping[str, str | None],
    in_far: Mapping[str, str | None],
    key: str,
) -> None:
    with tempfile.TemporaryDirectory() as base:
        for name, tree in (("view", in_view), ("plate", in_plate), ("far", in_far)):
            build(base, name, tree)
        build(base, "outside", {"a": None, "b/a": None, "c": None})
        far = DiskConfig(root=f"{base}/far")
        plate = DiskConfig(root=f"{base}/plate", links_to=(far,))
        try:
            fd = open_key(f"{base}/view", key, LOOK, (plate,))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
                raise
        else:
            found = os.fstat(fd)
            os.close(fd)
            assert os.path.samestat(found, os.stat(f"{base}/view/{key}"))  # noqa: PTH116
            assert found.st_ino in set(inodes(*(f"{base}/{name}" for name in NAMES[:3])))


@given(trees.map(lambda tree: {k: t for k, t in tree.items() if t is None or "." not in t}), keys)
def test_links_by_the_path_of_a_root_lead_where_the_system_says(
    tree: Mapping[str, str | None], key: str
) -> None:
    with tempfile.TemporaryDirectory() as base:
        # Absolute ones into the view itself leave it, so that it has to be named, too.
        build(base, "view", tree)
        for name in NAMES[1:]:
            build(base, name, {"a": None, "b/a": None, "c": "b"})
        named = tuple(DiskConfig(root=f"{base}/{name}") for name in NAMES)
        inner = tuple(evolve(each, links_to=named) for each in named)
        view = DiskConfig(root=f"{base}/view", links_to=inner)
        try:
            there = os.stat(f"{base}/view/{key}")  # noqa: PTH116
        except OSError:
            there = None
        links = sum(target is not None and target.startswith("/") for target in tree.values())
        if there is None or links > 2 or any(t == "/" for t in tree.values()):
            return
        fd = open_key(view.root, key, LOOK, view.links_to)
        assert os.path.samestat(os.fstat(fd), there)
        os.close(fd)

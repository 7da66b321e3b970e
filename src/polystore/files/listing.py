"""What is in a store: files, folders, trees, by pattern and suffix, in natural order.

The same everywhere: names may be any Unicode; hidden temporaries (`.polystore-*`) never show; links
to files and broken links are listed as files are, links to folders are not entered, so that a
circle of links ends. A `folder` of `""`, `"."` or the store's own absolute root is all of it;
`NotFound` if it does not exist, `NotADirectory` if it is a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias, cast

from attrs import evolve, frozen

from polystore.backends.target import Target
from polystore.configs import IMAGE_FORMATS
from polystore.core.errors import InvalidKey, InvalidSpec, NotFound, StorageError
from polystore.core.key import Key, KeyLike, natural_order, near_keys, parse_key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import Page, Source
from polystore.files.pattern import matcher
from polystore.files.target import on_folder, unsupported
from polystore.files.walking import children, direct_files, has_listing, pages, walked

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = [
    "Tree",
    "collect_dirs_and_files",
    "find_file",
    "iter_files",
    "list_dir",
    "list_files",
    "list_image_files",
]

_IMAGE_SUFFIXES = tuple(suffix for format in IMAGE_FORMATS for suffix in format.suffixes)

Wanted: TypeAlias = Callable[[Key], bool]


@frozen
class Tree:
    """The folders and the files below a folder, each in natural order."""

    folders: tuple[Key, ...]
    files: tuple[Key, ...]


def list_files(  # noqa: PLR0913 - what is listed, word by word
    store: Source[object],
    *,
    folder: KeyLike = "",
    pattern: str | None = None,
    suffixes: str | tuple[str, ...] = (),
    recursive: bool = True,
    ordered: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[tuple[Key, ...]]:
    """Give the keys of a store, in natural order (`f2` before `f10`).

    - `folder` keeps those below it; `recursive=False` only those directly in it.
    - `suffixes` (one, or several) keeps the keys that end in one of them, compared case-blind:
      `".zip"` keeps `cells.roi.zip`, and so does `".roi.zip"`, while `".roi"` does not.
    - `pattern` keeps those that fit it: `"t*.tif"` is compared with the last part of the key,
      `"A??/**/t*.tif"`, with `/` in it, with what the key is below `folder`. `*`, `?` and `[a-c]`
      stay within one part, `**` is any number of parts; capitals count. `InvalidKey` for one that
      is absolute or has `..`.
    - `ordered=False` gives them as they are found, which takes a fraction of the time.

    The listing is whole or fails: a name in it that is no key, or a folder that cannot be read, is
    the failure. `iter_files` gives such failures among the keys, and goes on.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-list")
    >>> done = [save(memory)(Item(f"plate/f{i}.json", i)) for i in (10, 2)]
    >>> list_files(memory, suffixes=(".JSON",))
    <Success: ('plate/f2.json', 'plate/f10.json')>
    >>> list_files(memory, pattern="f?.json", folder="plate")
    <Success: ('plate/f2.json',)>
    """

    def listed(target: Target) -> Outcome[tuple[Key, ...]]:
        wanted = _wanted(target, pattern, suffixes)
        found = and_then(wanted, lambda it: _listed(target, it, recursive))
        return found.map(_in_order if ordered else tuple)

    return on_folder(store, folder, dispatcher, listed)


def iter_files(  # noqa: PLR0913 - what is listed, word by word
    store: Source[object],
    *,
    folder: KeyLike = "",
    pattern: str | None = None,
    suffixes: str | tuple[str, ...] = (),
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Iterator[Outcome[Key]]:
    """Give the keys of a store one by one, as they are found, in no order.

    What is listed is as in `list_files`. Nothing is read before the first is asked for, nor much
    more than has been asked for. What fails on the way (a name that is no key, a folder that cannot
    be read) is a failure among the keys, and the others follow. What is saved, moved or deleted
    meanwhile may be in it or not.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-iter")
    >>> save(memory)(Item("a.json", 1)).map(lambda saved: saved.key)
    <Success: a.json>
    >>> [key.unwrap() for key in iter_files(memory)]
    ['a.json']
    """

    def begun(target: Target) -> Outcome[tuple[Target, Wanted | None]]:
        return _wanted(target, pattern, suffixes).map(lambda wanted: (target, wanted))

    outcome = on_folder(store, folder, dispatcher, begun)
    if not is_successful(outcome):
        yield Failure(outcome.failure())
        return
    target, wanted = outcome.unwrap()
    for page in _files(target, recursive):
        if not is_successful(page):
            yield Failure(page.failure())
        elif wanted is None:
            yield from map(Success, page.unwrap())
        else:
            yield from map(Success, filter(wanted, page.unwrap()))


def list_image_files(
    store: Source[object],
    *,
    folder: KeyLike = "",
    pattern: str | None = None,
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[tuple[Key, ...]]:
    """Give the keys with the suffix of an image format (`IMAGE_FORMATS`), in natural order.

    The suffix alone is looked at. All else is as in `list_files`.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-images")
    >>> done = [save(memory)(Item(key, 1)) for key in ("t10.TIF", "t2.ome.tif", "a.json")]
    >>> list_image_files(memory)
    <Success: ('t2.ome.tif', 't10.TIF')>
    """
    return list_files(
        store,
        folder=folder,
        pattern=pattern,
        suffixes=_IMAGE_SUFFIXES,
        recursive=recursive,
        dispatcher=dispatcher,
    )


def list_dir(
    store: Source[object], folder: KeyLike = "", *, dispatcher: Dispatcher | None = None
) -> Outcome[tuple[Key, ...]]:
    """Give what stands directly in a folder, files, folders and links, in natural order.

    The keys are whole (`plate/A01`, not `A01`). Folders that are empty show where the store has
    such. The listing is whole or fails, as in `list_files`.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-list-dir")
    >>> done = [save(memory)(Item(key, 1)) for key in ("p/a.json", "p/A01/b.json")]
    >>> list_dir(memory, "p")
    <Success: ('p/A01', 'p/a.json')>
    """

    def listed(target: Target) -> Outcome[tuple[Key, ...]]:
        found: list[Key] = []
        for page in children(target):
            if not is_successful(page):
                return Failure(_strict(page.failure(), target))
            found.extend(child.key for child in page.unwrap() if child.kind != "other")
        return Success(_in_order(found))

    return on_folder(store, folder, dispatcher, listed)


def find_file(
    store: Source[object],
    name: str,
    *,
    folder: KeyLike = "",
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Key]:
    """Give the first key, in natural order, whose last part is the name.

    Capitals count, and so does the suffix. `NotFound` if there is none; it suggests the key whose
    name is nearest. `InvalidKey` for a name that has a `/` or is no key. The listing must be whole,
    as in `list_files`.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-find")
    >>> save(memory)(Item("plate/A01/t1.json", 1)).map(lambda saved: saved.key)
    <Success: plate/A01/t1.json>
    >>> find_file(memory, "t1.json")
    <Success: plate/A01/t1.json>
    >>> print(find_file(memory, "t01.json").failure().advice)
    Did you mean 'plate/A01/t1.json'?
    """

    def found(target: Target) -> Outcome[Key]:
        parsed = parse_key(name)
        if not is_successful(parsed):
            return Failure(parsed.failure())
        if "/" in parsed.unwrap():
            return Failure(_no_name(name))
        every = _listed(target, None, recursive).map(_in_order)
        return and_then(every, lambda keys: _named(target, keys, parsed.unwrap()))

    return on_folder(store, folder, dispatcher, found)


def collect_dirs_and_files(
    store: Source[object],
    folder: KeyLike = "",
    *,
    recursive: bool = True,
    dispatcher: Dispatcher | None = None,
) -> Outcome[Tree]:
    """Give the folders and the files below a folder, each in natural order.

    A link to a folder is one of the folders, and is not entered; a broken link is one of the files.
    Empty folders show where the store has such. `recursive=False` gives what is directly in the
    folder. The listing is whole or fails, as in `list_files`.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-collect-tree")
    >>> save(memory)(Item("plate/A01/t1.json", 1)).map(lambda saved: saved.key)
    <Success: plate/A01/t1.json>
    >>> collect_dirs_and_files(memory)
    <Success: Tree(folders=('plate', 'plate/A01'), files=('plate/A01/t1.json',))>
    """

    def collected(target: Target) -> Outcome[Tree]:
        below = walked(target, recursive=recursive)
        return below.map(
            lambda it: Tree(_in_order((*it.folders, *it.links)), _in_order(it.files))
        ).alt(lambda error: _strict(error, target))

    return on_folder(store, folder, dispatcher, collected)


def _files(target: Target, recursive: bool) -> Iterator[Outcome[Page]]:
    if not has_listing(target):
        return iter((Failure(unsupported(target, "list its keys")),))
    return pages(target) if recursive else direct_files(target)


def _listed(target: Target, wanted: Wanted | None, recursive: bool) -> Outcome[list[Key]]:
    found: list[Key] = []
    for page in _files(target, recursive):
        if not is_successful(page):
            return Failure(_strict(page.failure(), target))
        found.extend(page.unwrap() if wanted is None else filter(wanted, page.unwrap()))
    return Success(found)


def _in_order(keys: Iterable[Key]) -> tuple[Key, ...]:
    return tuple(sorted(keys, key=natural_order))


def _strict(error: StorageError, target: Target) -> StorageError:
    """Say of a failure about one of the things listed how one gets the others."""
    if error.key in {"", target.key}:
        return error
    return evolve(error, advice=f"{error.advice} iter_files(store) gives the other keys.")


def _wanted(
    target: Target, pattern: str | None, suffixes: str | tuple[str, ...]
) -> Outcome[Wanted | None]:
    """Give the function that says which keys are asked for; `None` for all of them."""
    ends = (suffixes,) if isinstance(suffixes, str) else suffixes
    if not isinstance(cast("object", ends), (tuple, list)) or not all(
        isinstance(cast("object", end), str) for end in ends
    ):
        return Failure(_no_suffixes(suffixes))
    by_suffix = _ending_in(tuple(end.lower() for end in ends)) if ends else None
    if pattern is None:
        return Success(by_suffix)
    return matcher(pattern).map(lambda fits: _both(_below(target, fits), by_suffix))


def _ending_in(ends: tuple[str, ...]) -> Wanted:
    return lambda key: key.lower().endswith(ends)


def _below(target: Target, fits: Callable[[str], bool]) -> Wanted:
    start = len(target.key) + 1 if target.key else 0
    return (lambda key: fits(key[start:])) if start else fits


def _both(one: Wanted, other: Wanted | None) -> Wanted:
    return one if other is None else (lambda key: other(key) and one(key))


def _named(target: Target, keys: tuple[Key, ...], name: str) -> Outcome[Key]:
    by_name: dict[str, Key] = {}
    for key in keys:
        by_name.setdefault(key.rpartition("/")[2], key)
    if name in by_name:
        return Success(by_name[name])
    from difflib import get_close_matches  # for this error alone

    near = get_close_matches(name, near_keys(name, by_name), 1)
    return Failure(
        NotFound(
            name,
            target.config,
            f"No file is called {name!r} below {target.key!r}."
            if target.key
            else f"No file is called {name!r}.",
            f"Did you mean {by_name[near[0]]!r}?"
            if near
            else "See list_files(store) for the keys there are.",
        )
    )


def _no_name(name: str) -> InvalidKey:
    return InvalidKey(
        name,
        None,
        f"{name!r} is no name of a file: it has a '/'.",
        "Give the last part of the key alone, and folder=... for the part before it.",
    )


def _no_suffixes(given: object) -> InvalidSpec:
    return InvalidSpec(
        "",
        None,
        f"The suffixes are {given!r}, and must be text.",
        "Give one, as '.tif', or several, as ('.tif', '.roi.zip').",
        "suffixes",
    )

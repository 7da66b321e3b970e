"""What stores say, in the same words, of keys under which nothing or something else stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from polystore.core.errors import (
    AlreadyExists,
    InvalidKey,
    NotADirectory,
    NotAFile,
    NotFound,
    Unavailable,
    UnsupportedOperation,
    not_found,
)
from polystore.core.key import near_keys

__all__ = [
    "above_removed",
    "absent_below",
    "below_no_folder",
    "folder_in_use",
    "folder_in_way",
    "in_the_way",
    "into_itself",
    "no_file",
    "no_folder",
    "no_formats",
]


def above_removed(key: str, config: object) -> Unavailable:
    """Give the error of a save that found a folder above the key gone while it worked.

    >>> print(above_removed("a/b.npy", None).advice)
    Look at the folders above it, then save again.
    """
    return Unavailable(
        key,
        config,
        f"A folder above {key!r} was removed meanwhile, or is a link that leads nowhere.",
        "Look at the folders above it, then save again.",
    )


def no_formats(store: str, key: str, config: object) -> UnsupportedOperation:
    """Give the error of a load that names a format, from a store that holds no files.

    >>> print(no_formats("A memory store", "a", None))
    A memory store holds no files, and so no formats. Leave the format out: load(store).
    """
    message = f"{store} holds no files, and so no formats."
    return UnsupportedOperation(key, config, message, "Leave the format out: load(store).")


def absent_below(
    root: str, key: str, config: object, names: Callable[[str], Iterable[str]]
) -> NotFound:
    """Give the error for a key under which a store in a folder has nothing.

    `names(folder)` gives the names in a folder of the store; one that is near is suggested. A root
    that does not exist, or that the key begins with, is the likelier reason, and said first.

    >>> print(absent_below("/", "wells/A1.tif", None, lambda folder: ["A01.tif", "B02.tif"]))
    Nothing is stored under 'wells/A1.tif'. Did you mean 'wells/A01.tif'?
    """
    if not Path(root).is_dir():
        return NotFound(
            key,
            config,
            f"The folder {root!r} does not exist.",
            "Check the root of the config; the first save makes it.",
        )
    first, _, rest = key.partition("/")
    if first == Path(root).name and rest:
        return NotFound(
            key,
            config,
            f"Nothing is stored under {key!r}.",
            f"The root {root!r} is already in the key: did you mean {rest!r}?",
        )
    folder, slash, _ = key.rpartition("/")
    return not_found(key, config, near_keys(key, (folder + slash + it for it in names(folder))))


def below_no_folder(key: str, config: object, what: str) -> NotFound:
    """Give the error for a key that goes on below what is no folder.

    >>> print(below_no_folder("a/b", None, "a part of it is a file, not a folder").message)
    Nothing is stored under 'a/b': a part of it is a file, not a folder.
    """
    message = f"Nothing is stored under {key!r}: {what}."
    return NotFound(key, config, message, "See list_files(store) for the keys there are.")


def no_file(key: str, config: object, count: int, what: str = "file") -> NotAFile:
    """Give the error for a folder that was to be loaded, with how much is in it.

    `what` is the store's word for what it holds, as it is for one of them.

    >>> print(no_file("wells", None, 96).message)
    'wells' is a folder of 96 files.
    """
    return NotAFile(
        key,
        config,
        f"{key!r} is a folder of {count} {what}{'' if count == 1 else 's'}.",
        f"Load its {what}s one by one: pipeline.map(list_files(store, folder=...).unwrap()).",
    )


def folder_in_use(key: str, config: object, count: int) -> NotAFile:
    """Give the error for a folder that was to be deleted, and is not empty.

    `count` are the names in it that can be seen; with none, others are at work in it.

    >>> print(folder_in_use("wells", None, 1).message)
    'wells' is a folder, and not empty: there is 1 name in it.
    """
    if count == 0:
        message = f"{key!r} is a folder that others work in at this moment."
        return NotAFile(key, config, message, "Try again when they have finished.")
    names = "there is 1 name in it" if count == 1 else f"there are {count} names in it"
    return NotAFile(
        key,
        config,
        f"{key!r} is a folder, and not empty: {names}.",
        f"Delete it with all that is below it: delete_tree(store, {key!r}).",
    )


_OTHER_KEY = "Choose a key that is neither a folder of another key nor below one."


def folder_in_way(key: str, config: object) -> NotAFile:
    """Give the error for a folder that stands where an item or a link was to be saved.

    >>> print(folder_in_way("wells", None).message)
    'wells' is a folder.
    """
    return NotAFile(key, config, f"{key!r} is a folder.", _OTHER_KEY)


def no_folder(key: str, config: object, part: str, what: str = "an item") -> NotADirectory:
    """Give the error for what is needed as a folder, and is none.

    >>> print(no_folder("a/b", None, "a").message)
    'a' is an item, not a folder.
    """
    return NotADirectory(key, config, f"{part!r} is {what}, not a folder.", _OTHER_KEY)


def in_the_way(new: str, config: object, *, is_folder: bool) -> AlreadyExists:
    """Give the error for what stands where something was to be moved.

    `is_folder`: a folder stands there, or is to be moved there; neither can replace.

    >>> print(in_the_way("b", None, is_folder=False).advice)
    Move with if_exists="replace", or with "skip" to keep what is there.
    """
    advice = (
        'A move that replaces (if_exists="replace") replaces no folder, and by none: delete what '
        "is there first, or choose another key."
        if is_folder
        else 'Move with if_exists="replace", or with "skip" to keep what is there.'
    )
    return AlreadyExists(new, config, f"{new!r} exists already.", advice)


def into_itself(old: str, new: str, config: object) -> InvalidKey:
    """Give the error for a folder that was to be moved to a place below itself.

    >>> print(into_itself("a", "a/b", None).message)
    'a' cannot be moved to 'a/b', which is below it.
    """
    message = f"{old!r} cannot be moved to {new!r}, which is below it."
    return InvalidKey(new, config, message, "Choose a key that is not below the folder.")

"""Making folders, and deleting what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Never

from attrs import evolve

from polystore.backends.target import Target, without_slash
from polystore.core.errors import InvalidKey, NotADirectory, NotAFile, NotFound, StorageError
from polystore.core.key import Key, KeyLike
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import Sink, Stat
from polystore.files.asking import stat_of
from polystore.files.target import on_folder, on_key, unchangeable, unsupported
from polystore.files.walking import Below, children, has_listing, is_own, walked

if TYPE_CHECKING:
    from polystore.dispatch import Dispatcher

__all__ = ["delete", "delete_tree", "ensure_directory"]


def ensure_directory(
    store: Sink[Never], folder: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[Key]:
    """Make a folder, and those above it; give its key, also if it was there.

    A save makes the folders that it needs by itself. `NotADirectory` if a file stands under the key
    or above it; `UnsupportedOperation` on stores whose folders are but parts of keys; `ReadOnly` on
    those that cannot be changed. The root has no key: it is made with the first thing in it.

    >>> from polystore import DiskConfig
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> ensure_directory(disk, "plate/A01")
    <Success: plate/A01>
    """

    def made(target: Target) -> Outcome[Key]:
        make = target.backend.make_folder
        if make is None:
            return Failure(unchangeable(target, "make a folder"))
        return make(target.handle, target.key).map(lambda _: target.key)

    return on_key(store, without_slash(folder), dispatcher, made)


def delete(
    store: Sink[Never], key: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[None]:
    """Delete a file, a link (never what it leads to), or an empty folder.

    `NotFound` where there is nothing; `NotAFile` for a folder with something in it, which
    `delete_tree` deletes, and for what is not the store's own (a Zarr store deletes no plain
    folder). A folder in which killed writers left hidden files is empty.

    >>> from polystore import Item, MemoryConfig, save
    >>> memory = MemoryConfig(name="doctest-delete")
    >>> save(memory)(Item("a.json", 1)).map(lambda saved: saved.key)
    <Success: a.json>
    >>> delete(memory, "a.json")
    <Success: None>
    >>> type(delete(memory, "a.json").failure()).__name__
    'NotFound'
    """
    return on_key(store, key, dispatcher, _deleted)


def delete_tree(
    store: Sink[Never], folder: KeyLike, *, dispatcher: Dispatcher | None = None
) -> Outcome[int]:
    """Delete a folder and all that is below it; give how many files and links were deleted.

    - The root itself is refused (`InvalidKey`): `""`, `"."`, its absolute path.
    - A file is refused (`NotADirectory`), and so is a link, and what lies behind one: links below
      the folder are deleted, and what they lead to stays. `delete` deletes a file or a link.
    - All is listed before anything is deleted: if something below is not the store's own
      (`NotAFile`), has a name that is no key, or may not be read, that is the failure, and
      everything is still there. A pipe is no store's own, and a Zarr store's own are its arrays,
      its groups, and links.
    - It is not one step. Deepest folders go first; if it fails or is killed on the way, what is
      left is a smaller tree, and the same call deletes the rest. What another writer saves below
      the folder meanwhile stays, and so do the folders around it: `NotAFile`.
    - A folder that another swaps for a link meanwhile is not gone through: `NotADirectory`. Each
      folder is looked at once, before its files are deleted: a swap after that is not seen, and
      costs what the link leads to, in the same store, as far as it has the same names.

    >>> from polystore import DiskConfig, Item, save
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> done = [save(disk)(Item(key, 1)) for key in ("plate/a.json", "plate/A01/b.json")]
    >>> delete_tree(disk, "plate")
    <Success: 2>
    """

    def deleted(target: Target) -> Outcome[int]:
        if not target.key:
            return Failure(_the_root(target, str(folder)))
        refused = _refused(target)
        return Failure(refused) if refused is not None else _tree_deleted(target)

    return on_folder(store, folder, dispatcher, deleted)


def _deleted(target: Target) -> Outcome[None]:
    remove = target.backend.delete
    if remove is None:
        return Failure(unchangeable(target, "delete"))
    return remove(target.handle, target.key)


def _refused(target: Target) -> StorageError | None:
    """Say why a tree cannot be deleted; `None` if it is a folder of the store's own."""
    if target.backend.delete is None:
        return unchangeable(target, "delete")
    if not has_listing(target):
        return unsupported(target, "list what is in a folder")
    problem = _not_reached(target, target)
    if problem is None and not _is_own(target):
        return _not_own(target, target.key)
    return problem


def _not_reached(target: Target, folder: Target) -> StorageError | None:
    """Say what keeps the target's tree from having a folder that is reached through no link."""
    parts = folder.key.split("/")
    for depth in range(1, len(parts) + 1):
        at = target.at(Key("/".join(parts[:depth])))
        found = stat_of(at)
        if not is_successful(found):
            return found.failure()
        problem = _no_folder(at, found.unwrap(), target)
        if problem is not None:
            return problem
    return None


def _is_own(target: Target) -> bool:
    """Whether a folder is the store's own, as what stands beside it in the folder above says."""
    if target.backend.children is None:
        return True
    above = target.at(Key(target.key.rpartition("/")[0]))
    beside = (child for page in children(above) for child in page.value_or(()))
    return next((is_own(child) for child in beside if child.key == target.key), True)


def _not_own(target: Target, key: Key) -> NotAFile:
    return NotAFile(
        key,
        target.config,
        f"{key!r} is not the store's own, which neither loads nor deletes it.",
        "Move it away, or delete it by other means: a tree is deleted only as a whole.",
    )


def _no_folder(at: Target, found: Stat, target: Target) -> StorageError | None:
    if found.link is None and found.kind == "folder":
        return None
    what = "a file" if found.link is None else "a link"
    if at.key == target.key:
        advice = f"Use delete, which deletes {what}."
    elif found.link is None:
        advice = "See list_dir(store) for the folders there are."
    else:
        advice = f"Use delete to delete the link {at.key!r}; what it leads to stays."
    return NotADirectory(
        target.key, target.config, f"{at.key!r} is {what}, not a folder of the store.", advice
    )


def _tree_deleted(target: Target) -> Outcome[int]:
    return and_then(walked(target), lambda below: _all_deleted(target, below))


def _all_deleted(target: Target, below: Below) -> Outcome[int]:
    if below.others:
        return Failure(_not_own(target, below.others[0]))
    # Where folders are but parts of keys, no link takes their place; they go with their last key.
    has_folders = target.backend.children is not None
    count = 0
    looked_at = None
    for key in (*below.files, *below.links):
        folder = Key(key.rpartition("/")[0])
        swapped = _swapped(target, folder) if has_folders and folder != looked_at else None
        looked_at = folder
        done = Failure(swapped) if swapped is not None else _gone(target.at(key))
        if not is_successful(done):
            return Failure(_half_done(done.failure(), target, count))
        count += done.unwrap()
    for key in (*reversed(below.folders), target.key) if has_folders else ():
        swapped = _swapped(target, key)
        emptied = Failure(swapped) if swapped is not None else _gone(target.at(key))
        if not is_successful(emptied):
            return Failure(_half_done(emptied.failure(), target, count))
    return Success(count)


def _swapped(target: Target, folder: Key) -> StorageError | None:
    """Say what stands instead of a folder that was there, or above it; `None` if it is gone."""
    problem = _not_reached(target, target.at(folder))
    return None if isinstance(problem, NotFound) else problem


def _gone(target: Target) -> Outcome[bool]:
    """Delete one thing; `False` if somebody else did so first."""
    done = _deleted(target)
    if is_successful(done):
        return Success(True)
    error = done.failure()
    return Success(False) if isinstance(error, NotFound) else Failure(error)


def _half_done(error: StorageError, target: Target, count: int) -> StorageError:
    key = error.key or target.key
    said = f"{error.advice} {count} files below {target.key!r} were deleted; call it again."
    return evolve(error, key=key, advice=said)


def _the_root(target: Target, folder: str) -> InvalidKey:
    return InvalidKey(
        folder,
        target.config,
        "This is the root of the store, which is never deleted.",
        "Name a folder in it, or delete what is in it one by one: list_dir(store) names it.",
    )

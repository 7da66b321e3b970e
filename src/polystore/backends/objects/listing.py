"""What there is: objects by their keys, and folders as the beginnings of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from attrs import evolve

from polystore.backends.objects.client import Bucket, asked
from polystore.backends.refusals import folder_in_use, no_file
from polystore.core.errors import (
    NotAFile,
    NotFound,
    PermissionDenied,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.key import Key, parse_key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Page, Stat

if TYPE_CHECKING:
    from obstore import ObjectMeta

__all__ = ["delete_object", "folder_error", "keys_below", "list_objects", "stat_object"]

_PAGE = 1000
"""Keys of a page: the most that servers give with one answer."""


def list_objects(bucket: Bucket, folder: str, /) -> Iterator[Outcome[Page]]:
    """Give the keys below a folder, as the server gives them: page by page, each when asked for."""

    def started() -> Outcome[Iterator[Sequence[ObjectMeta]]]:
        import obstore
        from obstore.store import HTTPStore

        if isinstance(bucket.store, HTTPStore):
            return Failure(_no_lists(bucket, folder))
        return Success(iter(obstore.list(bucket.store, folder or None, chunk_size=_PAGE)))

    begun = asked(bucket, folder, started)
    if not is_successful(begun):
        yield Failure(begun.failure())
        return
    pages = begun.unwrap()

    def following() -> Outcome[Page | None]:
        found = next(pages, None)
        return Success(None if found is None else _keys(bucket, found))

    while True:
        page = asked(bucket, folder, following)
        if not is_successful(page):
            yield Failure(page.failure())
            return
        keys = page.unwrap()
        if keys is None:
            return
        yield Success(keys)


def _no_lists(bucket: Bucket, folder: str) -> UnsupportedOperation:
    return UnsupportedOperation(
        folder,
        bucket.config,
        "What is behind plain HTTP cannot be listed: a server tells of no others than it is asked.",
        "Load by keys that you know, or use the storage's own address (s3://, gs://, az://).",
    )


def _keys(bucket: Bucket, found: Sequence[ObjectMeta]) -> Page:
    parsed = ((meta, parse_key(meta["path"])) for meta in found)
    return tuple(
        key.unwrap()
        for meta, key in parsed
        if is_successful(key) and (meta["size"] or _is_object(bucket, key.unwrap()))
    )


def _is_object(bucket: Bucket, key: Key) -> bool:
    """Whether an empty object has this name, and not `key/`, as web consoles mark a folder."""
    import obstore

    try:
        obstore.head(bucket.store, key)
    except FileNotFoundError:
        return False
    return True


def keys_below(bucket: Bucket, folder: str, most: int) -> Outcome[Page]:
    """Give some of the keys below a folder; none where there is no such folder."""
    found: list[Key] = []
    for page in list_objects(bucket, folder):
        if not is_successful(page):
            return Failure(page.failure())
        found.extend(islice(page.unwrap(), most - len(found)))
        if len(found) == most:
            break
    return Success(tuple(found))


def folder_error(bucket: Bucket, key: str) -> StorageError | None:
    """Give the error for a folder that was asked for as a file; `None` if it is no folder."""
    below = keys_below(bucket, key, _PAGE)
    if not is_successful(below):
        return evolve(below.failure(), key=key)
    if not below.unwrap():
        return None
    count = len(below.unwrap())
    error = no_file(key, bucket.config, count)
    many = f"{key!r} is a folder of {_PAGE} files or more."
    return error if count < _PAGE else NotAFile(key, bucket.config, many, error.advice)


def stat_object(bucket: Bucket, key: Key, /) -> Outcome[Stat]:
    """Say what stands under a key: with one request for an object, two for a folder."""

    def looked() -> Outcome[Stat]:
        import obstore

        meta = obstore.head(bucket.store, key)
        modified = int(meta["last_modified"].timestamp()) * 10**9
        modified += meta["last_modified"].microsecond * 1000
        return Success(Stat("file", meta["size"], modified, None, meta["e_tag"]))

    found = asked(bucket, key, looked)
    if is_successful(found) or not isinstance(found.failure(), NotFound):
        return found
    below = keys_below(bucket, key, 1)
    if not is_successful(below):
        # Who may not list can see no folders; that there is no such file is sure.
        unlisted = isinstance(below.failure(), (PermissionDenied, UnsupportedOperation))
        return found if unlisted else Failure(evolve(below.failure(), key=key))
    return Success(Stat("folder", None, None)) if below.unwrap() else found


def delete_object(bucket: Bucket, key: Key, /) -> Outcome[None]:
    """Delete an object. Servers say nothing of what is not there: it is looked for first."""

    def deleted() -> Outcome[None]:
        import obstore

        obstore.head(bucket.store, key)
        obstore.delete(bucket.store, key)
        bucket.folders.clear()
        return Success(None)

    gone = asked(bucket, key, deleted)
    if is_successful(gone) or not isinstance(gone.failure(), NotFound):
        return gone
    below = keys_below(bucket, key, _PAGE)
    if not is_successful(below):
        return Failure(evolve(below.failure(), key=key))
    count = len(below.unwrap())
    return Failure(folder_in_use(key, bucket.config, count)) if count else gone

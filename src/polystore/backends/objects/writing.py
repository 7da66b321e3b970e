"""Writing objects: one put each, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from polystore.backends.objects.client import Bucket, asked
from polystore.backends.objects.listing import keys_below
from polystore.backends.refusals import folder_in_way, no_folder
from polystore.core.errors import AlreadyExists, StorageError
from polystore.core.key import HIDDEN_PREFIX, Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Encoded, IfExists

if TYPE_CHECKING:
    from obstore import PutMode

__all__ = ["put_object"]

PART = 8 * 2**20
"""Bytes from which on content goes up in parts, and of each part. S3 takes no less than 5 MiB."""

_PARTS_MAX = 9_000
"""Parts of one object: S3 takes 10,000."""

_AT_ONCE = 4
"""Parts on their way at the same time: they are in memory beside what is saved."""

FOLDER_S = 5.0
"""Seconds for which a folder that was no file is taken to be none: each put would ask for every
folder above it again."""


def put_object(bucket: Bucket, key: Key, encoded: Encoded, if_exists: IfExists, /) -> Outcome[bool]:
    """Write an object whole; `False` if it was there and is to be skipped."""
    problem = _refused(bucket, key)
    if problem is not None:
        return Failure(problem)
    written = asked(bucket, key, lambda: _written(bucket, key, encoded, if_exists))
    if is_successful(written):
        return written
    error = written.failure()
    skipped = if_exists == "skip" and isinstance(error, AlreadyExists)
    return Success(False) if skipped else Failure(error)


def _written(bucket: Bucket, key: str, encoded: Encoded, if_exists: IfExists) -> Outcome[bool]:
    import obstore

    mode: PutMode = "overwrite" if if_exists == "replace" else "create"
    in_parts = mode == "overwrite" and encoded.nbytes > PART
    obstore.put(
        bucket.store,
        key,
        _flat(encoded) if in_parts else list(_flat(encoded)),
        mode=mode,
        use_multipart=in_parts,
        chunk_size=max(PART, encoded.nbytes // _PARTS_MAX),
        max_concurrency=_AT_ONCE,
    )
    return Success(True)


def _flat(encoded: Encoded) -> Iterator[memoryview]:
    """Give the buffers as plain bytes, which is all that obstore takes; shared, where they can be.

    `ValueError` at their end if they were not as many as announced: then nothing is written.
    """
    written = 0
    for buffer in encoded.buffers:
        view = memoryview(buffer)
        written += view.nbytes
        if view.nbytes:
            yield _as_bytes(view)
    if written != encoded.nbytes:
        raise ValueError(f"{written} bytes came where {encoded.nbytes} were announced")


def _as_bytes(view: memoryview) -> memoryview:
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # memory with gaps, or of a format that a view cannot cast
        return memoryview(view.tobytes())


def _refused(bucket: Bucket, key: str) -> StorageError | None:
    """Give the error for a key that cannot be written: a folder, or below a file."""
    if key.rpartition("/")[2].startswith(HIDDEN_PREFIX):
        return None  # nobody sees it, in whatever it stands
    now = time.monotonic()
    for folder in _above(key):
        if now - bucket.folders.get(folder, -FOLDER_S) < FOLDER_S:
            continue
        there = _is_file(bucket, folder)
        if not is_successful(there):
            return there.failure()
        if there.unwrap():
            return no_folder(key, bucket.config, folder, "a file")
        bucket.folders[folder] = now
    below = keys_below(bucket, key, 1)
    if not is_successful(below):
        return below.failure()
    return folder_in_way(key, bucket.config) if below.unwrap() else None


def _above(key: str) -> Iterator[str]:
    parts = key.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def _is_file(bucket: Bucket, key: str) -> Outcome[bool]:
    def looked() -> Outcome[bool]:
        import obstore

        try:
            obstore.head(bucket.store, key)
        except FileNotFoundError:
            return Success(False)
        return Success(True)

    return asked(bucket, key, looked)

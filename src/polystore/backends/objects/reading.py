"""Reading objects: small ones with one request, of large ones the parts that are asked for."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from attrs import frozen

from polystore.backends.objects.client import Bucket, asked
from polystore.backends.objects.errors import reason_of
from polystore.backends.objects.listing import folder_error
from polystore.core.errors import NotAFile, NotFound
from polystore.core.key import Key
from polystore.core.outcome import Failure, Outcome, Success, is_successful
from polystore.core.records import Readable

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ObjectStore

__all__ = ["get_object"]

FIRST = 256 * 1024
"""Bytes that come with the first request, which says the size too: what is not wanted of them
takes less time than a second request would."""

_PIECE = 1024 * 1024
"""Bytes that are copied at once out of the stream of a response."""


@frozen(eq=False)
class _Source:
    """An object of which the first bytes are here."""

    store: ObjectStore
    key: str
    size: int
    etag: str | None
    first: memoryview

    def read_into(self, offset: int, buffer: memoryview, /) -> int:
        """Fill the buffer from an offset; raises `OSError` if the object was replaced since."""
        end = min(offset + len(buffer), self.size)
        here = self.first[offset:end] if offset < end else self.first[:0]
        buffer[: len(here)] = here
        count = len(here)
        if offset + count < end:
            count += self._ask(offset + count, end, buffer[count : end - offset])
        return count

    def _ask(self, start: int, end: int, into: memoryview) -> int:
        import obstore
        from obstore.exceptions import BaseError, PreconditionError

        options: GetOptions = {"range": (start, end)}
        if self.etag is not None:
            options["if_match"] = self.etag
        try:
            return _poured(obstore.get(self.store, self.key, options=options), into)
        except (PreconditionError, FileNotFoundError) as error:
            gone = "it was replaced or deleted while it was read"
            raise OSError(errno.ESTALE, gone, self.key) from error
        except BaseError as error:
            raise OSError(errno.EIO, reason_of(error), self.key) from error


def _poured(result: GetResult, into: memoryview) -> int:
    """Copy the content of a response as it comes, so that it is not in memory twice."""
    count = 0
    # Each is obstore's own buffer, not the bytes that its stubs promise.
    for piece in cast("Iterable[bytes]", result.stream(_PIECE)):
        into[count : count + len(piece)] = piece
        count += len(piece)
    return count


def get_object(bucket: Bucket, key: Key, /) -> Outcome[Readable]:
    """Give an object to be read at any position: one request for a small one."""

    def opened() -> Outcome[Readable]:
        return Success(_opened(bucket.store, key))

    found = asked(bucket, key, opened)
    if is_successful(found) or not isinstance(found.failure(), NotFound):
        return found
    problem = folder_error(bucket, key)
    # Who may not list, as nobody may over plain HTTP, is told what is sure: there is no such file.
    return Failure(problem) if isinstance(problem, NotAFile) else found


def _opened(store: ObjectStore, key: str) -> Readable:
    import obstore
    from obstore.exceptions import GenericError, NotSupportedError

    try:
        result = obstore.get(store, key, options={"range": (0, FIRST)})
    except (GenericError, NotSupportedError) as error:
        # There is no first byte of what is empty, and some servers know no ranges.
        if not isinstance(error, NotSupportedError) and "416" not in str(error):
            raise
        result = obstore.get(store, key)
    first = memoryview(result.bytes())
    meta = result.meta
    source = _Source(store, key, meta["size"], meta["e_tag"], first)
    return Readable(meta["size"], source.read_into, lambda: None)

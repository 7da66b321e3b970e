"""The metadata files of a node, of Zarr v3 and of v2, as one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast

from polystore.backends.zarr.elements.meta import Documents
from polystore.core.errors import Corrupt, StorageError, UnsupportedPayload
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import Json

if TYPE_CHECKING:
    from polystore.backends.zarr.tree import Files
    from polystore.core.records import Readable

__all__ = ["DOCUMENT_MAX", "document_bytes", "documents_in", "group_documents"]

DOCUMENT_MAX = 64 * 2**20
"""Bytes. Attributes can be long; a longer document is refused before it is read."""

_KINDS: tuple[Literal["array", "group"], ...] = ("array", "group")


def document_bytes(document: Mapping[str, object]) -> bytes:
    """Give a document as it is written: in one line, which takes a tenth of the time of many.

    Raises what `json.dumps` raises of what JSON cannot say.

    >>> document_bytes({"zarr_format": 2})
    b'{"zarr_format": 2}'
    """
    return json.dumps(document, allow_nan=False).encode()


def group_documents(attributes: Mapping[str, Json], zarr_format: Literal[2, 3]) -> dict[str, bytes]:
    """Give the documents of a group, by the names of their files.

    >>> list(group_documents({}, 2))
    ['.zattrs', '.zgroup']
    """
    if zarr_format == 3:
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        return {"zarr.json": document_bytes(document)}
    return {".zattrs": document_bytes(attributes), ".zgroup": document_bytes({"zarr_format": 2})}


def documents_in(files: Files, below: str = "") -> Outcome[Documents | None]:
    """Give the documents of the node below a path (`""`, or with a slash at its end: `"0/"`).

    `None` where there are none. Where there are some of both versions, those of v3 count. `Corrupt`
    for damaged ones, `UnsupportedPayload` for a later version of Zarr. Raises `OSError`.
    """
    found = _mapping_in(files, f"{below}zarr.json")
    if not is_successful(found):
        return Failure(found.failure())
    document = found.unwrap()
    if document is not None:
        return _of_v3(document, f"{below}zarr.json")
    for kind in _KINDS:
        found = _mapping_in(files, f"{below}.z{kind}")
        if not is_successful(found):
            return Failure(found.failure())
        document = found.unwrap()
        if document is not None:
            return _of_v2(files, below, document, kind)
    return Success(None)


def _of_v3(document: dict[str, Json], path: str) -> Outcome[Documents | None]:
    version, kind = document.get("zarr_format"), document.get("node_type")
    if version != 3 or isinstance(version, bool):
        return Failure(_other_version(path, version))
    attributes = document.pop("attributes", {})
    if not isinstance(attributes, Mapping):
        return Failure(_damaged(path, "its attributes are no object"))
    for known in _KINDS:
        if kind == known:
            return Success(Documents(known, 3, document, attributes))
    return Failure(_damaged(path, "it says of no kind of node that it is of"))


def _of_v2(
    files: Files, below: str, document: dict[str, Json], kind: Literal["array", "group"]
) -> Outcome[Documents | None]:
    version = document.get("zarr_format")
    if version != 2 or isinstance(version, bool):
        return Failure(_other_version(f"{below}.z{kind}", version))
    attributes = _mapping_in(files, f"{below}.zattrs")
    return attributes.map(lambda found: Documents(kind, 2, document, found or {}))


def _mapping_in(files: Files, path: str) -> Outcome[dict[str, Json] | None]:
    """Give the object in a file of JSON, `None` if there is no such file."""
    source = files.open(path)
    if source is None:
        return Success(None)
    try:
        content = _content(source, path)
    finally:
        source.close()
    return and_then(content, lambda it: _parsed(it, path))


def _content(source: Readable, path: str) -> Outcome[bytearray]:
    if source.size > DOCUMENT_MAX:
        return Failure(_damaged(path, f"it has {source.size} bytes"))
    content = bytearray(source.size)
    count = source.read_into(0, memoryview(content))
    return Success(content) if count == len(content) else Failure(_damaged(path, "it is cut off"))


def _parsed(content: bytearray, path: str) -> Outcome[dict[str, Json] | None]:
    try:
        found = cast("Json", json.loads(content))
    except ValueError:
        return Failure(_damaged(path, "it is no JSON" if content else "it is empty"))
    except RecursionError:
        return Failure(_damaged(path, "it is nested too deeply"))
    if isinstance(found, dict):
        return Success(found)
    return Failure(_damaged(path, "it is no JSON object"))


def _other_version(path: str, version: Json) -> StorageError:
    if isinstance(version, int) and version > 3:
        return UnsupportedPayload(
            "",
            None,
            f"The {path} is of Zarr version {version}, and this polystore reads 2 and 3.",
            "Upgrade polystore, or read it with the program that wrote it.",
        )
    return _damaged(path, "it does not say its version of Zarr")


def _damaged(path: str, reason: str) -> Corrupt:
    return Corrupt(
        "", None, f"The {path} is damaged: {reason}.", "Save the node again from its source."
    )

"""The config of object storage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from attrs import field, frozen

from polystore.core.payload import Payload
from polystore.core.records import Limits, Store

__all__ = ["ObjectConfig"]


def _pairs(options: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    given = cast("Mapping[str, str]", options)
    items = given.items() if isinstance(options, Mapping) else options
    return tuple(sorted((str(name), str(value)) for name, value in items))


@frozen
class ObjectConfig(Store[Payload, Payload]):
    """Files as objects: in S3, Google Cloud or Azure storage, below a prefix.

    `url` is as obstore takes it (`s3://bucket/prefix`, `gs://…`, `az://…`); `options` are the
    settings of its client by their names (`{"region": "eu-central-1"}`). A secret among them is
    refused, for configs are written into histories. The client finds credentials where the
    provider's own tools do (`AWS_ACCESS_KEY_ID`, the machine's role), but not in AWS's profiles.
    `max_bytes` is as in `DiskConfig`.

    >>> ObjectConfig(url="s3://plates/2024", options={"region": "eu-central-1"}).url
    's3://plates/2024'
    """

    url: str
    options: tuple[tuple[str, str], ...] = field(default=(), converter=_pairs)
    max_bytes: int = Limits().max_bytes

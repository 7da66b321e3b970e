"""Object storage: files as objects of S3, Google Cloud or Azure storage, through obstore.

A save is one put: all or nothing to every reader, and of many writers under `"fail"` the server
lets one win (`If-None-Match`). A reader asks for the parts that it needs, and only of the object
that it began with (`If-Match`).

Objects have no folders: a folder is there where a key lies below it. They are not moved in one
step, not linked and not locked; those functions are `None`. That a key is never a file and a folder
too is looked at before each put; of two writers at the same moment, one of each, both may win.

What holds a handle is only what obstore needs to make requests. Its threads belong to the process
and are not there after a fork: what was forked is refused, for it would wait for ever.
"""

from __future__ import annotations

from polystore.backends.objects.client import Bucket, close_bucket, open_bucket
from polystore.backends.objects.listing import delete_object, list_objects, stat_object
from polystore.backends.objects.reading import get_object
from polystore.backends.objects.writing import put_object
from polystore.configs import ObjectConfig
from polystore.core.records import ByteStore, Limits, Reach

__all__ = ["OBJECTS"]

OBJECTS: ByteStore[ObjectConfig, Bucket] = ByteStore(
    name="objects",
    config=ObjectConfig,
    reach=Reach.NETWORK,
    open=open_bucket,
    close=close_bucket,
    get=get_object,
    put=put_object,
    stat=stat_object,
    list=list_objects,
    delete=delete_object,
    limits=lambda config: Limits(config.max_bytes),
)
"""The record of object storage."""

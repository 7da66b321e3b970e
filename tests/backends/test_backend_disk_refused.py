"""What the operating system refuses is a typed error, on disk."""

from __future__ import annotations

import os
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from disk_access import delete, error_of, everything, get, listed, put, status

from polystore import (
    DiskConfig,
    IfExists,
    list_files,
)

IF_EXISTS: tuple[IfExists, ...] = ("fail", "replace", "skip")
every_mode = pytest.mark.parametrize("if_exists", IF_EXISTS)


def refused(folder: str, user: int, sender: Connection) -> None:
    """Try everything in a folder as a user who may not write there, nor read what is private."""
    disk = DiskConfig(root=folder)
    private = DiskConfig(root=f"{folder}/private")
    get(disk, "warm up: the packages that an error imports")
    os.setgid(user)
    os.setuid(user)
    sender.send(
        [
            error_of(put(disk, "new", b"1")),
            error_of(put(disk, "new/deep", b"1")),
            error_of(put(disk, "a", b"1", "replace")),
            error_of(delete(disk, "a")),
            error_of(get(disk, "unreadable")),
            error_of(get(private, "a")),
            error_of(status(private, "a")),
            error_of(put(private, "a", b"1")),
            error_of(list_files(private)),
            listed(disk),
            error_of(put(DiskConfig(root=f"{folder}/open"), "mine", b"1")),
        ]
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_the_system_refuses_is_permission_denied(processes: ForkServerContext) -> None:
    with tempfile.TemporaryDirectory() as base:
        Path(base).chmod(0o755)
        disk = DiskConfig(root=base)
        for key in ("a", "unreadable", "private/a"):
            put(disk, key, b"precious").unwrap()
        Path(base, "unreadable").chmod(0o600)
        Path(base, "private").chmod(0o700)
        Path(base, "open").mkdir(0o777)
        Path(base, "open").chmod(0o777)
        receiver, sender = processes.Pipe(duplex=False)
        child = processes.Process(target=refused, args=(base, 65534, sender))
        child.start()
        sender.close()
        *errors, found, mine = receiver.recv()
        child.join()
        assert errors == ["PermissionDenied"] * 9
        assert found == (["a", "unreadable"], ["PermissionDenied"])
        assert mine == ""  # what such a user may write is written, by whatever way is left
        assert everything(Path(base, "open")) == {"mine": b"1"}
        assert get(disk, "a").unwrap() == b"precious"

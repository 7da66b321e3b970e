"""What the operating system refuses is a typed error, on disk."""

from __future__ import annotations

import os
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from disk_access import (
    children,
    delete,
    error_of,
    everything,
    get,
    link,
    listed,
    lock,
    make_folder,
    move,
    put,
    status,
)

from polystore import (
    DiskConfig,
    IfExists,
    Place,
    list_files,
)

IF_EXISTS: tuple[IfExists, ...] = ("fail", "replace", "skip")
every_mode = pytest.mark.parametrize("if_exists", IF_EXISTS)


def refused(folder: str, user: int, sender: Connection) -> None:
    """Try everything in a folder as a user who may not write there, nor read what is private."""
    disk = DiskConfig(root=folder)
    private = DiskConfig(root=f"{folder}/private")
    open_to_all = DiskConfig(root=f"{folder}/open")
    get(disk, "warm up: the packages that an error imports")
    lock(open_to_all, "warm up").unwrap()
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
            error_of(move(disk, "a", "b")),
            error_of(move(disk, "a", "open/a", "replace")),
            error_of(move(private, "a", "b")),
            error_of(make_folder(disk, "new")),
            error_of(make_folder(private, "new")),
            error_of(link(disk, "new", Place(disk, "a"))),
            error_of(link(disk, "a", Place(disk, "a"), "replace")),
            error_of(lock(disk, "a")),
            error_of(delete(disk, "open/empty")),
            error_of(delete(disk, "private")),
            *children(private)[1],
            error_of(lock(open_to_all, "held")),
            listed(disk),
            error_of(put(open_to_all, "mine", b"1")),
            error_of(lock(open_to_all, "mine")),
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
        Path(base, "open").chmod(0o1777)  # whose is a file may delete it, like in /tmp
        Path(base, "open/empty").mkdir()
        held = lock(DiskConfig(root=f"{base}/open"), "held").unwrap()
        receiver, sender = processes.Pipe(duplex=False)
        child = processes.Process(target=refused, args=(base, 65534, sender))
        child.start()
        sender.close()
        *errors, held_by_another, found, mine, mine_again = receiver.recv()
        child.join()
        assert errors == ["PermissionDenied"] * 20
        assert held_by_another == "LockTimeout"  # though its file can only be read
        with held:
            pass
        assert found == (["a", "unreadable"], ["PermissionDenied"])
        assert (
            mine == mine_again == ""
        )  # what such a user may write is written, by whatever way is left
        assert everything(Path(base, "open")) == {"mine": b"1", "empty": None}
        assert get(disk, "a").unwrap() == b"precious"

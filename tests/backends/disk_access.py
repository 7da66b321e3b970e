"""The disk store's functions on plain bytes, as the tests call them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from polystore import (
    Buffer,
    DiskConfig,
    Encoded,
    Failure,
    IfExists,
    Key,
    Outcome,
    Place,
    Stat,
    Success,
    is_successful,
)
from polystore.backends.disk import DISK


def put(
    config: DiskConfig, key: str, content: bytes, if_exists: IfExists = "fail"
) -> Outcome[bool]:
    return put_buffers(config, key, (content,), len(content), if_exists)


def put_buffers(
    config: DiskConfig,
    key: str,
    buffers: Iterable[Buffer],
    nbytes: int,
    if_exists: IfExists = "fail",
) -> Outcome[bool]:
    assert DISK.put is not None
    return DISK.put(config, Key(key), Encoded(buffers, nbytes), if_exists)


def get(config: DiskConfig, key: str) -> Outcome[bytes]:
    assert DISK.get is not None
    opened = DISK.get(config, Key(key))
    if not is_successful(opened):
        return Failure(opened.failure())
    source = opened.unwrap()
    content = bytearray(source.size)
    count = source.read_into(0, memoryview(content))
    source.close()
    return Success(bytes(content[:count]))


def status(config: DiskConfig, key: str) -> Outcome[Stat]:
    assert DISK.stat is not None
    return DISK.stat(config, Key(key))


def delete(config: DiskConfig, key: str) -> Outcome[None]:
    assert DISK.delete is not None
    return DISK.delete(config, Key(key))


def move(config: DiskConfig, old: str, new: str, if_exists: IfExists = "fail") -> Outcome[bool]:
    assert DISK.move is not None
    return DISK.move(config, Key(old), Key(new), if_exists)


def lock(config: DiskConfig, key: str, seconds: float = 0) -> Outcome[AbstractContextManager[None]]:
    assert DISK.lock is not None
    return DISK.lock(config, Key(key), seconds)


def make_folder(config: DiskConfig, key: str) -> Outcome[None]:
    assert DISK.make_folder is not None
    return DISK.make_folder(config, Key(key))


def link(config: DiskConfig, key: str, place: Place, if_exists: IfExists = "fail") -> Outcome[bool]:
    assert DISK.link is not None
    return DISK.link(config, Key(key), place, if_exists)


def children(config: DiskConfig, folder: str = "") -> tuple[dict[str, str], list[str]]:
    """Give the kinds of what is in a folder by their keys, and the names of the errors' classes."""
    assert DISK.children is not None
    found: dict[str, str] = {}
    errors: list[str] = []
    for page in DISK.children(config, folder):
        if is_successful(page):
            for child in page.unwrap():
                assert child.key not in found
                found[child.key] = child.kind
        else:
            errors.append(type(page.failure()).__name__)
    return found, sorted(errors)


def listed(config: DiskConfig, folder: str = "") -> tuple[list[str], list[str]]:
    """Give the keys, and the names of the errors' classes, each sorted."""
    assert DISK.list is not None
    keys: list[str] = []
    errors: list[str] = []
    for page in DISK.list(config, folder):
        if is_successful(page):
            keys.extend(page.unwrap())
        else:
            errors.append(type(page.failure()).__name__)
    return sorted(keys), sorted(errors)


def error_of(outcome: Outcome[object]) -> str:
    """Give the name of the error's class, or `""` for a success."""
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


@contextmanager
def meanwhile(action: Callable[[], object], threads: int = 1) -> Generator[None]:
    """Repeat an action in threads of its own as long as the block runs."""
    stop = threading.Event()

    def repeats() -> None:
        while not stop.is_set():
            action()

    with ThreadPoolExecutor(threads) as executor:
        running = [executor.submit(repeats) for _ in range(threads)]
        try:
            yield
        finally:
            stop.set()
        for each in running:
            each.result()


def everything(folder: Path) -> dict[str, bytes | None]:
    """Give all that is in a folder, hidden files too; `None` for what is no regular file."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in sorted(folder.rglob("*"))
    }

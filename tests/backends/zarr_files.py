"""The files of a Zarr node in memory, and what others wrote into them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from polystore.backends.zarr.tree import Files, Growing
from polystore.core.records import Buffer, Readable, readable_of

__all__ = ["below_folder", "memory_files"]


def memory_files(content: dict[str, bytes]) -> Files:
    """Give the files of a node that are in a dict, by their paths; new ones are put into it.

    A new file comes into the dict when it is finished; one of a taken name is `FileExistsError`.
    The mark has no time, and its token changes with the number of files.
    """
    lock = threading.Lock()

    def opened(path: str) -> Readable | None:
        with lock:
            found = content.get(path)
        return None if found is None else readable_of(found)

    def create(path: str) -> Growing:
        parts: list[bytes] = []

        def append(buffers: Sequence[Buffer]) -> None:
            parts.extend(bytes(memoryview(buffer).cast("B")) for buffer in buffers)

        def finish() -> None:
            with lock:
                if path in content:
                    raise FileExistsError(path)
                content[path] = b"".join(parts)

        return Growing(append, finish)

    def names() -> list[str]:
        with lock:
            return list(content)

    return Files(opened, create, lambda: iter(names()), lambda: (None, str(len(names()))))


def below_folder(folder: Path) -> dict[str, bytes]:
    """Give the content of all files below a folder, by their paths: for `memory_files`."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

"""The two ways in which the disk store writes a file, for tests of both."""

from __future__ import annotations

import os
from typing import Protocol

import pytest

from polystore import Encoded
from polystore.backends.beneath import open_root
from polystore.backends.whole import write_sibling, write_whole

__all__ = ["Write", "both_ways", "written"]


class Write(Protocol):
    """One of the two ways to write a file."""

    def __call__(
        self, folder: int, name: str, encoded: Encoded, *, replace: bool, synced: bool
    ) -> bool: ...


both_ways = pytest.mark.parametrize("write", [write_whole, write_sibling])


def written(write: Write, root: str, name: str, encoded: Encoded, *, replace: bool = False) -> bool:
    folder = open_root(root)
    try:
        return write(folder, name, encoded, replace=replace, synced=False)
    finally:
        os.close(folder)

"""What a type checker refuses is a typed error at run time too, and says which argument it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from polystore import (
    Convert,
    DiskConfig,
    FileFormat,
    InvalidSpec,
    Item,
    Metadata,
    Outcome,
    UnsupportedPayload,
    convert,
    load,
    rename,
    save,
)

ITEM = Item("a.npy", np.arange(3))
WRONG: Any = {"not": "a value"}


CASES: list[tuple[str, Callable[[DiskConfig], Outcome[object]]]] = [
    ("load.format", lambda disk: load(disk, format=cast("FileFormat[object]", "tiff"))("a.npy")),
    ("save.if_exists", lambda disk: save(disk, if_exists=cast("Any", "replaced"))(ITEM)),
    ("convert.to", lambda disk: Convert[object](to=WRONG)(ITEM)),
    ("convert.casting", lambda disk: convert(to="numpy", casting=cast("Any", "safe"))(ITEM)),
    ("convert.copy", lambda disk: convert(to="numpy", copy=cast("Any", "no"))(ITEM)),
    ("convert.device", lambda disk: convert(to="numpy", device=WRONG)(ITEM)),
    ("rename.to", lambda disk: rename(WRONG)(ITEM)),
    ("rename.suffix", lambda disk: rename(suffix=WRONG)(ITEM)),
    ("rename.prefix", lambda disk: rename(prefix=WRONG)(ITEM)),
    (
        "DiskConfig.max_bytes",
        lambda disk: load(DiskConfig(root=disk.root, max_bytes=cast("Any", "1")))("a.npy"),
    ),
    (
        "DiskConfig.max_bytes",
        lambda disk: load(DiskConfig(root=disk.root, max_bytes=-1))("a.npy"),
    ),
]


@pytest.mark.parametrize(("where", "run"), CASES)
def test_a_wrong_value_is_named(
    where: str, run: Callable[[DiskConfig], Outcome[object]], tmp_path: Path
) -> None:
    refused = run(DiskConfig(root=tmp_path)).failure()
    assert isinstance(refused, InvalidSpec)
    assert refused.where == where
    assert where in str(refused)


def test_metadata_of_another_kind_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for wrong in (None, {"axes": "yx"}):
        item = Item("a.npy", np.arange(3), cast("Metadata", wrong))
        assert isinstance(save(DiskConfig(root=tmp_path))(item).failure(), UnsupportedPayload)
    assert not list(tmp_path.iterdir())

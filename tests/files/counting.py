"""Counters that threads and processes raise at once."""

from __future__ import annotations

from collections.abc import Iterable

from polystore import DiskConfig, Json, Outcome, Saved, ZarrConfig, is_successful, update
from polystore.core.payload import HostArray

__all__ = ["count_in_array", "count_in_json", "one_more"]


def one_more(count: object) -> Json:
    """Give the next count; nothing stored counts as none."""
    return count + 1 if isinstance(count, int) else 1


def count_in_json(root: str, times: int) -> list[str]:
    """Count in the disk store at the root; give the errors."""
    return _errors(update(DiskConfig(root=root), "p/n.json", one_more, 60) for _ in range(times))


def count_in_array(root: str, times: int) -> list[str]:
    """Count in the Zarr store at the root; give the errors."""
    return _errors(update(ZarrConfig(root=root), "n", _one_more, 60) for _ in range(times))


def _one_more(array: HostArray | None) -> HostArray:
    import numpy as np

    return np.zeros(1, np.int64) if array is None else array + 1


def _errors(outcomes: Iterable[Outcome[Saved]]) -> list[str]:
    return [str(each.failure()) for each in outcomes if not is_successful(each)]

"""`Table`: named columns of equal length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["Table"]


@frozen
class Table:
    """Named columns of equal length, each a one-dimensional array."""

    columns: Mapping[str, NDArray[Any]]

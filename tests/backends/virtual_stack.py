"""A stack of images and what is known of it, for tests to take parts of."""

from __future__ import annotations

import numpy as np

from polystore import HostArray, Metadata

__all__ = ["METADATA", "stack"]

METADATA = Metadata(
    axes=("t", "c", "y", "x"),
    scale=(1.0, 1.0, 0.5, 0.25),
    unit=("second", "", "micrometer", "micrometer"),
    channel_names=("dapi", "gfp", "phase"),
)


def stack() -> HostArray:
    return np.arange(2 * 3 * 4 * 5, dtype="u2").reshape(2, 3, 4, 5)

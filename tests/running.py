"""Steps run as the tests of the dispatcher run them."""

from __future__ import annotations

from typing import cast

import numpy as np

from polystore import DiskConfig, Item, Outcome, Step, default_dispatcher, save

__all__ = ["RUN", "anything", "saved_array"]

RUN = default_dispatcher().run


def anything(step: object, value: object) -> Outcome[object]:
    """Run what a type checker would refuse, too."""
    return RUN(cast("Step[object, object]", step), value)


def saved_array(disk: DiskConfig, key: str) -> None:
    save(disk)(Item(key, np.arange(3))).unwrap()

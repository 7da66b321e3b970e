"""`rename`: an item gets another key, which depends on its key alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import frozen

from polystore.configs import OME_TIFF, ROI
from polystore.core.key import suffix_of

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.outcome import Outcome
    from polystore.steps.compose import Step

__all__ = ["Rename", "new_key", "rename"]

_COMPOUND = tuple(
    suffix for format in (OME_TIFF, ROI) for suffix in format.suffixes if suffix.count(".") == 2
)

T = TypeVar("T")
Kind = TypeVar("Kind")


@frozen
class Rename:
    """Change the key: first `to`, then `suffix`, then `prefix`. Made by `rename`."""

    to: str | Callable[[str], str] | None = None
    suffix: str | None = None
    prefix: str = ""

    def __call__(self, item: Item[T, Kind], /) -> Outcome[Item[T, Kind]]:
        """Give the item under its new key, with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        # Bound to this call's types: strict checkers cannot infer them through a generic method.
        step = cast("Step[Item[T, Kind], Item[T, Kind]]", self)
        return default_dispatcher().run(step, item)


def rename(
    to: str | Callable[[str], str] | None = None,
    *,
    suffix: str | None = None,
    prefix: str = "",
) -> Rename:
    """Give the step that changes an item's key.

    `to` is a template for the last part of the key (the folder stays), with `{stem}`, `{suffix}`
    and `{name}` for the old ones, or a function from the old key to the new one. `suffix` replaces
    the last suffix (`""` removes it; `.ome.tif` and `.roi.zip` are one), `prefix` goes before the
    whole key. The new key is checked
    when it is used: a save under a bad one is `InvalidKey`. A function that raises is
    `FunctionFailed`.

    >>> from polystore import Item
    >>> item = Item("wells/A01.tif", None)
    >>> rename(suffix=".npy")(item).map(lambda item: item.key)
    <Success: wells/A01.npy>
    >>> rename("{stem}_c1{suffix}", prefix="run3/")(item).map(lambda item: item.key)
    <Success: run3/wells/A01_c1.tif>
    """
    return Rename(to, suffix, prefix)


def new_key(step: Rename, key: str) -> str:
    """Give the key that a rename makes of a key. Raises what the user's function raises.

    >>> new_key(Rename(suffix=""), "a/b.c.tif")
    'a/b.c'
    """
    if callable(step.to):
        key = step.to(key)
    folder, slash, name = key.rpartition("/")
    if isinstance(step.to, str):
        stem, suffix = _split(name)
        old = {"{name}": name, "{stem}": stem, "{suffix}": suffix}
        name = re.sub(r"\{(?:name|stem|suffix)\}", lambda field: old[field[0]], step.to)
    if step.suffix is not None:
        name = _split(name)[0] + step.suffix
    return f"{step.prefix}{folder}{slash}{name}"


def _split(name: str) -> tuple[str, str]:
    compound = suffix_of(name, _COMPOUND)
    if compound is not None and len(compound) < len(name):
        return name[: -len(compound)], name[-len(compound) :]
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem else (name, "")

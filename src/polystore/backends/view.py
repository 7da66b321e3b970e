"""A store seen through another's config: it has the keys of that store, and can do no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import evolve, frozen

from polystore.backends.lacking import lacking
from polystore.backends.route.parts import Routes
from polystore.configs import ZarrConfig
from polystore.core.errors import UnsupportedOperation
from polystore.core.outcome import Outcome
from polystore.core.records import Backend, Context, Opened

if TYPE_CHECKING:
    from polystore.backends.zarr.tree import ZarrStore

__all__ = ["View", "as_seen", "owned", "unable", "viewed"]

T = TypeVar("T")


@frozen
class View:
    """The handle of a store that shows another: its own config, the other's, and the other opened.

    The dispatcher gives a store with such a handle the root and the reserved names of the one that
    it shows, and takes from it what that one cannot do.
    """

    config: object
    part: object
    opened: Opened


def viewed(config: object, part: object, context: Context) -> Outcome[View]:
    """Give the handle of a store that shows the store of `part`, opening that."""
    return context.open(part).map(lambda opened: View(config, part, opened))


def as_seen(backend: Backend[object, object], handle: object) -> Backend[object, object]:
    """Give the record as far as it goes for a handle: most leave it as it is.

    A `View` can do what the store that it shows can, a Zarr store what its layout can. Routes have
    bytes to give if a store of theirs has.

    >>> from polystore import DiskConfig, ReadOnlyConfig, default_dispatcher
    >>> raw = ReadOnlyConfig(DiskConfig(root="/data/plate"))
    >>> seen = default_dispatcher().open(raw).unwrap().backend
    >>> seen.root(raw), seen.save
    ('/data/plate', None)
    """
    if isinstance(handle, Routes):
        has_bytes = any(part.backend.get is not None for part in handle.parts)
        return backend if has_bytes else evolve(backend, get=None)
    if backend.config is ZarrConfig:
        return _of_layout(backend, handle)
    if not isinstance(handle, View):
        return backend
    inner = handle.opened.backend
    return evolve(
        backend,
        load=_as_far(backend.load, inner.load),
        load_lazy=_as_far(backend.load_lazy, inner.load_lazy),
        save=_as_far(backend.save, inner.save),
        get=_as_far(backend.get, inner.get),
        put=_as_far(backend.put, inner.put),
        stat=_as_far(backend.stat, inner.stat),
        list=_as_far(backend.list, inner.list),
        children=_as_far(backend.children, inner.children),
        make_folder=_as_far(backend.make_folder, inner.make_folder),
        delete=_as_far(backend.delete, inner.delete),
        move=_as_far(backend.move, inner.move),
        link=_as_far(backend.link, inner.link),
        lock=_as_far(backend.lock, inner.lock),
        root=None if inner.root is None else _constant(inner.root(handle.part)),
        reserved=backend.reserved | inner.reserved,
    )


def _of_layout(backend: Backend[object, object], handle: object) -> Backend[object, object]:
    from polystore.backends.zarr import ZARR, of_layout

    # Another's record for the same config is its own.
    return of_layout(cast("ZarrStore", handle)) if backend is ZARR else backend


def _constant(root: str | None) -> Callable[[object], str | None]:
    def of_any(_config: object, /) -> str | None:
        return root

    return of_any


def _as_far(own: T | None, inner: object) -> T | None:
    return None if inner is None else own


def owned(view: View, outcome: Outcome[T]) -> Outcome[T]:
    """Give an outcome of the store that is shown, its error about the config that shows it."""
    return outcome.alt(lambda error: evolve(error, config=view.config))


def unable(view: View, key: str, what: str) -> UnsupportedOperation:
    """Give the error for what the store that is shown has no function for."""
    advice = "Use a store that can, or a pipeline that copies to one."
    return lacking(view.opened.backend.name, what, key, view.config, advice)

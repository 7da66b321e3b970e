"""`FileManager`: stores by name, and all that one does with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Concatenate, Literal, Never, ParamSpec, TypeVar, cast, overload

from attrs import field, frozen

from polystore.batch import map_keys
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.payload import HostArray, LazyArray, Payload
from polystore.core.records import FileFormat, IfExists, Place, Sink, Source, Store
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.files import asking, copying, linking, listing, locking, removing, stack
from polystore.files.locking import LOCK_TIMEOUT_S, Change
from polystore.manager.environment import stores_in_environment
from polystore.manager.gather import gathered
from polystore.manager.named import AnyStore, by_name, find, key_text, of_kind, step_of
from polystore.manager.settings import stores_in_file
from polystore.steps.compose import Step, compose
from polystore.steps.load import Load
from polystore.steps.save import Save

if TYPE_CHECKING:
    from polystore.batch import Report
    from polystore.core.item import Item, Saved
    from polystore.core.key import Key, KeyLike
    from polystore.core.records import Stat
    from polystore.files.listing import Tree

__all__ = ["FileManager"]

A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")
T = TypeVar("T")


@frozen(repr=False)
class FileManager:
    """Stores by name, and all that one does with them: a frozen value that pickles.

    A method does what the function of the same name does, with the store of the name `backend`;
    the errors are the same. A name that no store has is `BackendNotRegistered`, which lists those
    that there are. What works on a whole store takes its name first, all else takes the key first.

    Steps run on `dispatcher`, or on the default one.

    >>> from polystore import Item, MemoryConfig
    >>> stores = FileManager({"scratch": MemoryConfig(name="doctest-manager")})
    >>> stores.save(Item("a.json", [1, 2]), "scratch").map(lambda saved: saved.status)
    <Success: written>
    >>> stores.load("a.json", backend="scratch").map(lambda item: item.payload)
    <Success: [1, 2]>
    >>> print(stores.load("a.json", "scrach").failure())
    No store is called 'scrach'. Did you mean 'scratch'? The names are 'scratch'.
    """

    stores: tuple[tuple[str, AnyStore], ...] = field(converter=by_name)
    dispatcher: Dispatcher = field(factory=default_dispatcher)

    def __repr__(self) -> str:
        """Give the stores, without the registry."""
        return f"FileManager({dict(self.stores)!r})"

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], dispatcher: Dispatcher | None = None
    ) -> Outcome[FileManager]:
        """Give the manager of the stores that a TOML or JSON file names.

            [stores.raw.disk]
            root = "plate"
            [stores.result.zarr]
            root = "plate.zarr"

        A store is its name, then the word for its kind (`disk`), then the fields of its config. A
        relative root is taken from the current folder, not from the file's. `InvalidSpec` says what
        is wrong and where; what cannot be read is `NotFound`, `PermissionDenied`, `TooLarge`.

        >>> FileManager.from_file("none.toml").failure().message
        "'none.toml' does not exist."
        """
        run_on = dispatcher or default_dispatcher()
        return stores_in_file(path, run_on.registry).map(lambda stores: cls(stores, run_on))

    @classmethod
    def from_environment(
        cls, prefix: str = "POLYSTORE", dispatcher: Dispatcher | None = None
    ) -> Outcome[FileManager]:
        """Give the manager of the stores that environment variables name.

        `POLYSTORE__RAW__DISK__ROOT=plate` is the `root` of the store `raw`, of kind `disk`: names
        in lower case, two underscores between them. Text fields are taken as they are, others as
        JSON. A relative root is taken from the current folder. `NotFound` if no variable begins
        with the prefix, `InvalidSpec` says which one is wrong.

        >>> FileManager.from_environment("NO_SUCH").failure().message
        "No environment variable begins with 'NO_SUCH__'."
        """
        run_on = dispatcher or default_dispatcher()
        found = stores_in_environment(os.environ, prefix, run_on.registry)
        return found.map(lambda stores: cls(stores, run_on))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stores."""
        return tuple(name for name, _ in self.stores)

    @overload
    def store(self, backend: str) -> Outcome[Store[Payload, Payload]]: ...
    @overload
    def store(self, backend: str, kind: type[T]) -> Outcome[T]: ...
    def store(self, backend: str, kind: type[object] = object) -> Outcome[object]:
        """Give the config of a name, for the steps of a pipeline.

        With `kind`, such as `ZarrConfig`, a type checker knows what the store holds, and a config
        of another type is an error. Without, it takes every store for one of any payload.
        """
        return and_then(find(self.stores, backend), lambda found: of_kind(found, kind, backend))

    def run(self, step: Step[A, B], value: A) -> Outcome[B]:
        """Run a pipeline, or a step, on a key or an item, with the manager's dispatcher."""
        return self.dispatcher.run(step, value)

    @overload
    def load(self, key: KeyLike, backend: str) -> Outcome[Item[Payload]]: ...
    @overload
    def load(self, key: KeyLike, backend: str, *, format: FileFormat[T]) -> Outcome[Item[T]]: ...
    @overload
    def load(
        self,
        key: KeyLike,
        backend: str,
        *,
        format: FileFormat[HostArray] | None = None,
        lazy: Literal[True],
    ) -> Outcome[Item[LazyArray]]: ...
    def load(
        self,
        key: KeyLike,
        backend: str,
        *,
        format: FileFormat[object] | None = None,
        lazy: bool = False,
    ) -> Outcome[Item[object]]:
        """Load one item."""
        step = step_of(self.stores, backend, lambda store: Load[object](store, format, lazy))
        return self.dispatcher.run(step, key)

    def save(
        self,
        item: Item[object, Payload],
        backend: str,
        if_exists: IfExists = "fail",
        options: object = None,
    ) -> Outcome[Saved]:
        """Save one item under its key."""
        step = step_of(self.stores, backend, lambda store: Save[Payload](store, if_exists, options))
        return self.dispatcher.run(step, item)

    @overload
    def load_batch(
        self, keys: Iterable[KeyLike], backend: str, *, max_workers: int | None = None
    ) -> tuple[tuple[KeyLike, Outcome[Item[Payload]]], ...]: ...
    @overload
    def load_batch(
        self,
        keys: Iterable[KeyLike],
        backend: str,
        *,
        format: FileFormat[T],
        max_workers: int | None = None,
    ) -> tuple[tuple[KeyLike, Outcome[Item[T]]], ...]: ...
    def load_batch(
        self,
        keys: Iterable[KeyLike],
        backend: str,
        *,
        format: FileFormat[object] | None = None,
        max_workers: int | None = None,
    ) -> tuple[tuple[KeyLike, Outcome[Item[object]]], ...]:
        """Load many items; give each key and its outcome, in order. `collect` makes a report of it.

        All are in memory at once. For more than fits, map a pipeline over the keys with `map_keys`
        or `Pipeline.map`. An iterable that raises ends the batch with a `FunctionFailed`; every
        outcome before it is kept.
        """
        step = step_of(self.stores, backend, lambda store: Load[object](store, format))
        pairs = map_keys(self.dispatcher, compose(step), keys, max_workers=max_workers)
        return gathered(pairs, lambda key: key)

    def save_batch(
        self,
        items: Iterable[Item[object, Payload]],
        backend: str,
        if_exists: IfExists = "fail",
        options: object = None,
        max_workers: int | None = None,
    ) -> tuple[tuple[str, Outcome[Saved]], ...]:
        """Save many items; give each one's key and outcome, in order, as `load_batch` does.

        Items that an iterable makes one by one are let go one by one.
        """
        step = step_of(self.stores, backend, lambda store: Save[Payload](store, if_exists, options))
        pairs = map_keys(self.dispatcher, compose(step), items, max_workers=max_workers)
        return gathered(pairs, key_text)

    def exists(self, key: KeyLike, backend: str) -> Outcome[bool]:
        """Whether a file or a folder stands under a key."""
        return self._do(asking.exists, backend, key)

    def is_file(self, key: KeyLike, backend: str) -> Outcome[bool]:
        """Whether a file or an array stands under a key."""
        return self._do(asking.is_file, backend, key)

    def is_dir(self, key: KeyLike, backend: str) -> Outcome[bool]:
        """Whether a folder stands under a key."""
        return self._do(asking.is_dir, backend, key)

    def is_symlink(self, key: KeyLike, backend: str) -> Outcome[bool]:
        """Whether a link stands under a key, wherever it leads."""
        return self._do(asking.is_symlink, backend, key)

    def stat(self, key: KeyLike, backend: str) -> Outcome[Stat]:
        """Say what stands under a key."""
        return self._do(asking.stat, backend, key)

    def list_files(  # noqa: PLR0913 - what is listed, word by word
        self,
        backend: str,
        *,
        folder: KeyLike = "",
        pattern: str | None = None,
        suffixes: str | tuple[str, ...] = (),
        recursive: bool = True,
        ordered: bool = True,
    ) -> Outcome[tuple[Key, ...]]:
        """Give the keys of a store, in natural order, or in none if that is faster to have."""
        return self._do(
            listing.list_files,
            backend,
            folder=folder,
            pattern=pattern,
            suffixes=suffixes,
            recursive=recursive,
            ordered=ordered,
        )

    def iter_files(
        self,
        backend: str,
        *,
        folder: KeyLike = "",
        pattern: str | None = None,
        suffixes: str | tuple[str, ...] = (),
        recursive: bool = True,
    ) -> Iterator[Outcome[Key]]:
        """Give the keys of a store one by one, in no order."""
        store = self.store(backend)
        if not is_successful(store):
            return iter([Failure(store.failure())])
        return listing.iter_files(
            store.unwrap(),
            folder=folder,
            pattern=pattern,
            suffixes=suffixes,
            recursive=recursive,
            dispatcher=self.dispatcher,
        )

    def list_image_files(
        self,
        backend: str,
        *,
        folder: KeyLike = "",
        pattern: str | None = None,
        recursive: bool = True,
    ) -> Outcome[tuple[Key, ...]]:
        """Give the keys of images, in natural order."""
        return self._do(
            listing.list_image_files, backend, folder=folder, pattern=pattern, recursive=recursive
        )

    def list_dir(self, backend: str, *, folder: KeyLike = "") -> Outcome[tuple[Key, ...]]:
        """Give what stands directly in a folder."""
        return self._do(listing.list_dir, backend, folder)

    def find_file(
        self, name: str, backend: str, *, folder: KeyLike = "", recursive: bool = True
    ) -> Outcome[Key]:
        """Give the first key, in natural order, whose last part is the name."""
        return self._do(listing.find_file, backend, name, folder=folder, recursive=recursive)

    def collect_dirs_and_files(
        self, backend: str, *, folder: KeyLike = "", recursive: bool = True
    ) -> Outcome[Tree]:
        """Give the folders and the files below a folder."""
        return self._do(listing.collect_dirs_and_files, backend, folder, recursive=recursive)

    def load_stack(
        self,
        backend: str,
        *,
        folder: KeyLike = "",
        pattern: str | None = None,
        axis: str = "z",
        recursive: bool = True,
    ) -> Outcome[Item[LazyArray]]:
        """Give many files as one lazy array with a new first axis."""
        return self._do(
            stack.load_stack,
            backend,
            folder=folder,
            pattern=pattern,
            axis=axis,
            recursive=recursive,
        )

    def ensure_directory(self, folder: KeyLike, backend: str) -> Outcome[Key]:
        """Make a folder, and those above it."""
        return self._do(removing.ensure_directory, backend, folder)

    def delete(self, key: KeyLike, backend: str) -> Outcome[None]:
        """Delete a file, a link, or an empty folder."""
        return self._do(removing.delete, backend, key)

    def delete_tree(self, folder: KeyLike, backend: str) -> Outcome[int]:
        """Delete a folder and all below it; give how many files were deleted."""
        return self._do(removing.delete_tree, backend, folder)

    def copy(
        self,
        key: KeyLike,
        new_key: KeyLike | None = None,
        *,
        from_: str,
        to: str | None = None,
        if_exists: IfExists = "fail",
    ) -> Outcome[Saved]:
        """Copy an item to another key, to another store, or both."""

        def into(sink: Sink[Never] | None) -> Outcome[Saved]:
            return self._do(copying.copy, from_, key, new_key, to=sink, if_exists=if_exists)

        return and_then(self._other(to, key), into)

    def move(
        self,
        key: KeyLike,
        new_key: KeyLike | None = None,
        *,
        from_: str,
        to: str | None = None,
        if_exists: IfExists = "fail",
    ) -> Outcome[Saved]:
        """Move an item, or a folder, to another key, to another store, or both."""

        def into(sink: Sink[Never] | None) -> Outcome[Saved]:
            return self._do(copying.move, from_, key, new_key, to=sink, if_exists=if_exists)

        return and_then(self._other(to, key), into)

    def create_symlink(
        self,
        key: KeyLike,
        backend: str,
        target: KeyLike,
        *,
        target_backend: str | None = None,
        if_exists: IfExists = "fail",
    ) -> Outcome[Key]:
        """Make a link under a key to another key of the store, or of the store `target_backend`."""

        def to(store: Source[object] | None) -> Outcome[Key]:
            place = target if store is None else Place(store, str(target))
            return self._do(linking.create_symlink, backend, key, place, if_exists=if_exists)

        return and_then(self._other(target_backend, key), to)

    def mirror(
        self, *, from_: str, to: str, folder: KeyLike = "", if_exists: IfExists = "fail"
    ) -> Outcome[Report[Key]]:
        """Make, in one store, a link to each file of another, under the same keys."""

        def into(sink: Sink[Never]) -> Outcome[Report[Key]]:
            return self._do(linking.mirror, from_, sink, folder=folder, if_exists=if_exists)

        return and_then(self.store(to), into)

    @overload
    def update(
        self, key: KeyLike, backend: str, fn: Change[Payload], timeout: float = LOCK_TIMEOUT_S
    ) -> Outcome[Saved]: ...
    @overload
    def update(
        self,
        key: KeyLike,
        backend: str,
        fn: Change[T],
        timeout: float = LOCK_TIMEOUT_S,
        *,
        format: FileFormat[T],
    ) -> Outcome[Saved]: ...
    def update(
        self,
        key: KeyLike,
        backend: str,
        fn: Callable[..., object],
        timeout: float = LOCK_TIMEOUT_S,
        *,
        format: FileFormat[object] | None = None,
    ) -> Outcome[Saved]:
        """Replace what is under a key by what a function makes of it, under the key's lock."""
        change, kind = cast("Change[Payload]", fn), cast("FileFormat[Payload]", format)
        return self._do(locking.update, backend, key, change, timeout, format=kind)

    def locked(
        self,
        key: KeyLike,
        backend: str,
        fn: Callable[[], Outcome[T]],
        timeout: float = LOCK_TIMEOUT_S,
    ) -> Outcome[T]:
        """Run a function while holding the lock of a key, and give its outcome."""
        return self._do(locking.locked, backend, key, fn, timeout)

    def _do(
        self,
        function: Callable[Concatenate[Store[Payload, Payload], P], Outcome[T]],
        backend: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Outcome[T]:
        """Call a function of `polystore.files` on the store of a name, and on our dispatcher.

        An error of the name is about the key, which is the first of the other arguments.
        """
        kwargs["dispatcher"] = self.dispatcher
        found = find(self.stores, backend, next(iter(args), ""))
        return and_then(found, lambda store: function(store, *args, **kwargs))

    def _other(self, backend: str | None, key: object) -> Outcome[Store[Payload, Payload] | None]:
        """Give the store of a second name, which may be left out."""
        return Success(None) if backend is None else find(self.stores, backend, key)

"""The dispatcher: it does what steps say, against a registry and a pool of handles."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from attrs import evolve, field, frozen

from polystore.backends.bytestore import backend_of
from polystore.backends.regions import lazy_part, loaded_part, saved_part
from polystore.backends.target import Target, key_target, located
from polystore.backends.view import as_seen
from polystore.boundary import guarded
from polystore.core.item import Event, Item, Metadata, Saved
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import (
    Backend,
    ByteStore,
    Context,
    Framework,
    Opened,
    SaveOptions,
    Transfer,
)
from polystore.core.registry import Registry
from polystore.discover import default_registry
from polystore.frameworks.handover import hand_over, payload_on_host
from polystore.pool import HandlePool
from polystore.steps.apply import Apply
from polystore.steps.blockwise import in_blocks
from polystore.steps.check import mistake_in
from polystore.steps.compose import Pipeline, Step
from polystore.steps.convert import Convert
from polystore.steps.history import first_difference, made_otherwise, making, of_one, planned
from polystore.steps.itemwise import applied, key_of, outcome_of, recorded, renamed
from polystore.steps.load import Load
from polystore.steps.map_blocks import MapBlocks
from polystore.steps.refusals import no_metadata, not_fitting, too_deep, unsaved, unsupported
from polystore.steps.rename import Rename
from polystore.steps.save import Save
from polystore.steps.spec import to_spec

if TYPE_CHECKING:
    from polystore.core.errors import StorageError
    from polystore.core.key import KeyLike
    from polystore.core.payload import Payload

__all__ = ["Dispatcher", "default_dispatcher", "handles"]

A = TypeVar("A")
B = TypeVar("B")

_ItemStep: TypeAlias = "Apply[object, object] | Convert[object] | MapBlocks | Rename"


@frozen
class Dispatcher:
    """Runs steps against a registry. Steps that are called run on the default one.

    It pickles, without its open handles, as long as its registry does.

    >>> from polystore import Item, MemoryConfig, default_registry, save
    >>> dispatcher = Dispatcher(default_registry())
    >>> dispatcher.run(save(MemoryConfig()), Item("a.json", 1)).map(lambda saved: saved.status)
    <Success: written>
    """

    registry: Registry
    pool: HandlePool = field(factory=HandlePool, eq=False, repr=False)

    def __reduce__(self) -> tuple[Callable[..., Dispatcher], tuple[Registry, ...]]:
        """Pickle the registry only, handles belong to this process; the default one by its name."""
        if self is default_dispatcher():
            return default_dispatcher, ()
        return Dispatcher, (self.registry,)

    def run(self, step: Step[A, B], value: A) -> Outcome[B]:
        """Give the outcome of a step, or of a pipeline, on one value. Never raises an `Exception`.

        A package that is not installed is `MissingDependency`; what nobody foresaw is `Unexpected`.
        """
        return guarded(lambda: cast("Outcome[B]", self._run(step, value)), key_of(value))

    def open(self, config: object) -> Outcome[Opened]:
        """Give the store of a config and its handle, opened on first use and kept."""
        try:
            return self.pool.get(config, lambda: self._open(config))
        except RecursionError:
            return Failure(too_deep(config))

    def backend(self, config: object) -> Outcome[Backend[object, object]]:
        """Give the store that knows this type of config, without opening it."""
        return self.registry.find_store(config).map(
            lambda record: backend_of(record) if isinstance(record, ByteStore) else record
        )

    def target(self, config: object, key: KeyLike) -> Outcome[Target]:
        """Give a key of a store, opened; `InvalidKey`, or what the opening says."""
        return key_target(config, key, self.open)

    def _open(self, config: object) -> Outcome[Opened]:
        def opened(backend: Backend[object, object]) -> Outcome[Opened]:
            handle = backend.open(config, self._context())
            return handle.map(lambda it: Opened(as_seen(backend, it), it))

        mistake = mistake_in(config)
        if mistake is not None:
            return Failure(evolve(mistake, config=config))
        return and_then(self.backend(config), opened)

    def _context(self) -> Context:
        registry = self.registry

        def to_host(item: Item[Payload]) -> Outcome[Item[Payload]]:
            payload = payload_on_host(item.payload, registry.find_owner)
            if is_successful(payload) and payload.unwrap() is item.payload:
                return Success(item)
            return payload.map(lambda it: Item(item.key, it, item.metadata, item.history))

        return Context(
            codec=registry.find_codec,
            codec_for=registry.find_codec_for,
            to_host=to_host,
            owner=registry.find_owner,
            open=self.open,
            to_spec=lambda step: to_spec(step, registry),
        )

    def _run(self, step: object, value: object) -> Outcome[object]:
        mistake = mistake_in(step)
        if mistake is not None:
            return Failure(evolve(mistake, key=key_of(value)))
        return self._done(step, value)

    def _done(self, step: object, value: object) -> Outcome[object]:
        match step:
            case Pipeline():
                return self._pipeline(cast("Pipeline[object, object]", step), value)
            case Load():
                return self._load(cast("Load[object]", step), value)
            case Save():
                return self._save(cast("Save[object]", step), value)
            case Apply() | Convert() | MapBlocks() | Rename() if isinstance(value, Item):
                return self._changed(cast("_ItemStep", step), cast("Item[object]", value))
            case Apply() | Convert() | MapBlocks() | Rename():
                return Failure(not_fitting(cast("object", step), value))
            case _ if callable(step):
                return outcome_of(step, value)
            case _:
                return Failure(not_fitting(step, value))

    def _changed(self, step: _ItemStep, item: Item[object]) -> Outcome[Item[object]]:
        match step:
            case Apply():
                changed = applied(step.function, item)
            case Convert():
                changed = self._convert(step, item)
            case MapBlocks():
                changed = in_blocks(step, item)
            case Rename():
                changed = renamed(step, item)
        return changed.map(lambda it: recorded(it, step)).alt(
            lambda error: located(error, item.key, None)
        )

    def _pipeline(self, pipeline: Pipeline[object, object], value: object) -> Outcome[object]:
        if not pipeline.steps:
            return Failure(not_fitting(pipeline, value))
        skipped = self._skipped(pipeline, value)
        if skipped is not None:
            return skipped
        outcome: Outcome[object] = Success(value)
        for step in pipeline.steps:
            outcome = self._run(step, outcome.unwrap())
            if not is_successful(outcome):
                break
        return outcome

    def _skipped(self, pipeline: Pipeline[object, object], value: object) -> Outcome[object] | None:
        """Give `Saved("skipped")` if the pipeline would end in skipping: asked before any work."""
        first, last = pipeline.steps[0], pipeline.steps[-1]
        if not (isinstance(first, Load) and isinstance(last, Save)) or last.if_exists != "skip":
            return None
        load, save = cast("Load[object]", first), cast("Save[object]", last)
        source = self.target(load.source, cast("str", value))
        if not is_successful(source):
            return None
        plan = planned(load, pipeline.steps[1:-1], source.unwrap().key)
        if plan is None or not is_successful(plan):
            return None
        sink = self.target(save.sink, plan.unwrap()[-1].key)
        return self._skip_existing(sink.unwrap(), plan.unwrap()) if is_successful(sink) else None

    def _skip_existing(self, sink: Target, plan: tuple[Event, ...]) -> Outcome[object] | None:
        if sink.backend.save is None or sink.backend.stat is None:
            return None
        stat = sink.backend.stat(sink.handle, sink.key)
        if not is_successful(stat) or stat.unwrap().kind != "file":
            return None
        otherwise = self._otherwise(sink, plan)
        skipped = Saved(sink.key, sink.config, "skipped", 0)
        return Success(skipped) if otherwise is None else Failure(otherwise)

    def _otherwise(self, sink: Target, history: tuple[Event, ...]) -> StorageError | None:
        """Say why what is stored is not what a save would have made; `None` where it may be."""
        made_by = sink.backend.made_by
        if made_by is None or not making(history):
            return None
        made = made_by(sink.handle, sink.key, history)
        if not is_successful(made):
            return located(made.failure(), sink.key, sink.config)
        return None if made.unwrap() else self._other_history(sink, history)

    def _other_history(self, sink: Target, history: tuple[Event, ...]) -> StorageError:
        backend = sink.backend
        read = backend.load if backend.load_lazy is None else backend.load_lazy
        noted = read(sink.handle, sink.key, None) if read is not None else None
        old = () if noted is None else noted.map(lambda item: item.history).value_or(())
        differs = first_difference(old, history, self._context().to_spec) if old else ""
        return made_otherwise(sink.key, sink.config, differs)

    def _load(self, step: Load[object], value: object) -> Outcome[object]:
        found = self.target(step.source, cast("str", value))
        if not is_successful(found):
            return found
        source = found.unwrap()
        item = self._read(step, source)
        return item.map(lambda it: recorded(it, of_one(step, source.key))).alt(
            lambda error: located(error, source.key, source.config)
        )

    def _read(self, step: Load[object], source: Target) -> Outcome[Item[object]]:
        backend, handle, bounds = source.backend, source.handle, step.region
        if bounds is not None and not step.lazy:
            return loaded_part(source, step.format, bounds, self._context().to_host)
        if not step.lazy:
            if backend.load is None:
                return Failure(unsupported("load from", source.config, backend.name))
            return backend.load(handle, source.key, step.format)
        if backend.load_lazy is None:
            return Failure(unsupported("load lazily from", source.config, backend.name))
        item = backend.load_lazy(handle, source.key, step.format)
        return item if bounds is None else and_then(item, lambda it: lazy_part(it, bounds))

    def _save(self, step: Save[object], value: object) -> Outcome[object]:
        if not isinstance(value, Item):
            return Failure(not_fitting(step, value))
        item = cast("Item[Payload]", value)
        if type(item.metadata) is not Metadata:
            return Failure(no_metadata(item))
        opened = self.open(step.sink)
        if is_successful(opened) and opened.unwrap().backend.save is None:
            return Failure(unsaved(step.sink, key_of(item), opened.unwrap().backend))
        found = self.target(step.sink, item.key)
        if not is_successful(found):
            return found
        sink = found.unwrap()
        return self._saved(step, item, sink).alt(
            lambda error: located(error, sink.key, sink.config)
        )

    def _saved(self, step: Save[object], item: Item[Payload], sink: Target) -> Outcome[Saved]:
        if step.region is not None:
            return saved_part(sink, item, step.region)
        if sink.backend.save is None:
            return Failure(unsaved(sink.config, sink.key, sink.backend))
        how = SaveOptions(step.if_exists, step.options)
        saved = sink.backend.save(sink.handle, sink.key, recorded(item, step), how)
        if not is_successful(saved) or saved.unwrap().status != "skipped":
            return saved
        otherwise = self._otherwise(sink, item.history)
        return saved if otherwise is None else Failure(otherwise)

    def _convert(self, step: Convert[object], item: Item[object]) -> Outcome[Item[object]]:
        find = self.registry.find_framework
        target = Success(step.to) if isinstance(step.to, Framework) else find(step.to)
        how = Transfer(step.device, step.copy, step.casting)
        payload = and_then(
            target, lambda to: hand_over(item.payload, to, how, self.registry.find_owner)
        )
        return payload.map(lambda it: Item(item.key, it, item.metadata, item.history))


@cache
def default_dispatcher() -> Dispatcher:
    """Give the dispatcher that steps run on when they are called; its handles close at exit.

    >>> default_dispatcher() is default_dispatcher()
    True
    """
    dispatcher = Dispatcher(default_registry())
    atexit.register(dispatcher.pool.close)
    return dispatcher


@contextmanager
def handles() -> Generator[None]:
    """Close, at the end of the block, every handle that the default dispatcher opened in it.

    The content of a memory store goes with its handle.

    >>> from polystore import Item, MemoryConfig, load, save
    >>> with handles():
    ...     scratch = MemoryConfig(name="doctest-handles")
    ...     saved = save(scratch)(Item("a.json", 1))
    >>> type(load(scratch)("a.json").failure()).__name__
    'NotFound'
    """
    pool = default_dispatcher().pool
    before = pool.configs()
    try:
        yield
    finally:
        pool.close(keep=before)

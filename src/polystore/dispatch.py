"""The dispatcher: it does what steps say, against a registry and a pool of handles."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from attrs import evolve, field, frozen

from polystore.backends.bytestore import backend_of
from polystore.backends.view import as_seen
from polystore.boundary import called, guarded
from polystore.configs import VirtualConfig
from polystore.core.errors import StorageError, UnsupportedPayload
from polystore.core.item import Event, Item, Metadata, Saved
from polystore.core.key import parse_key
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_outcome, is_successful
from polystore.core.payload import nbytes_of
from polystore.core.records import (
    Backend,
    ByteStore,
    Context,
    FileFormat,
    Framework,
    Opened,
    SaveOptions,
    Transfer,
)
from polystore.core.registry import Registry
from polystore.core.version import __version__
from polystore.discover import default_registry
from polystore.frameworks.handover import hand_over, payload_on_host
from polystore.pool import HandlePool
from polystore.steps.apply import Apply
from polystore.steps.check import mistake_in
from polystore.steps.compose import Pipeline, Step
from polystore.steps.convert import Convert
from polystore.steps.load import Load
from polystore.steps.refusals import no_metadata, not_fitting, too_deep, unsaved, unsupported
from polystore.steps.rename import Rename, new_key
from polystore.steps.save import Save
from polystore.steps.spec import to_spec

if TYPE_CHECKING:
    from polystore.core.key import Key
    from polystore.core.payload import Payload

__all__ = ["Dispatcher", "default_dispatcher", "handles"]

A = TypeVar("A")
B = TypeVar("B")

_Reader: TypeAlias = "Callable[[object, Key, FileFormat[object] | None], Outcome[Item[object]]]"


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
        return guarded(lambda: cast("Outcome[B]", self._run(step, value)), _key_of(value))

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

    def _open(self, config: object) -> Outcome[Opened]:
        def opened(backend: Backend[object, object]) -> Outcome[Opened]:
            handle = backend.open(config, self._context())
            return handle.map(lambda it: Opened(as_seen(backend, it), it))

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
            return Failure(evolve(mistake, key=_key_of(value)))
        return self._done(step, value)

    def _done(self, step: object, value: object) -> Outcome[object]:
        match step:
            case Pipeline():
                return self._pipeline(cast("Pipeline[object, object]", step), value)
            case Load():
                return self._load(cast("Load[object]", step), value)
            case Save():
                return self._save(cast("Save[object]", step), value)
            case Convert():
                convert = cast("Convert[object]", step)
                return _on_item(convert, value, lambda item: self._convert(convert, item))
            case Apply():
                apply = cast("Apply[object, object]", step)
                return _on_item(apply, value, lambda item: _applied(apply.function, item))
            case Rename():
                return _on_item(step, value, lambda item: _renamed(step, item))
            case _ if callable(step):
                return _outcome_of(step, value)
            case _:
                return Failure(not_fitting(step, value))

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
        source = self.open(load.source)
        if not is_successful(source):
            return None
        key: Outcome[str] = _parsed(value, load.source, source.unwrap().backend).map(str)
        for step in pipeline.steps[1:-1]:
            if isinstance(step, Rename):
                key = and_then(key, partial(_rename_key, step))
            elif not isinstance(step, (Apply, Convert)):
                return None
        if not is_successful(key):
            return None
        return self._skip_existing(save, key.unwrap())

    def _skip_existing(self, save: Save[object], key: str) -> Outcome[object] | None:
        opened = self.open(save.sink)
        if not is_successful(opened):
            return None
        backend, handle = opened.unwrap().backend, opened.unwrap().handle
        parsed = _parsed(key, save.sink, backend)
        if backend.save is None or backend.stat is None or not is_successful(parsed):
            return None
        stat = backend.stat(handle, parsed.unwrap())
        if is_successful(stat) and stat.unwrap().kind == "file":
            return Success(Saved(key, save.sink, "skipped", 0))
        return None

    def _load(self, step: Load[object], value: object) -> Outcome[object]:
        opened = self.open(step.source)
        if not is_successful(opened):
            return opened
        backend, handle = opened.unwrap().backend, opened.unwrap().handle
        reader: _Reader | None = backend.load_lazy if step.lazy else backend.load
        if reader is None:
            what = "load lazily from" if step.lazy else "load from"
            return Failure(unsupported(what, step.source, backend.name))
        key = _parsed(value, step.source, backend)
        if not is_successful(key):
            return key
        item = reader(handle, key.unwrap(), step.format)
        return item.map(lambda it: _recorded(it, _of_one(step, key.unwrap()))).alt(
            lambda error: _located(error, key.unwrap(), step.source)
        )

    def _save(self, step: Save[object], value: object) -> Outcome[object]:
        if not isinstance(value, Item):
            return Failure(not_fitting(step, value))
        item = cast("Item[Payload]", value)
        if type(item.metadata) is not Metadata:
            return Failure(no_metadata(item))
        opened = self.open(step.sink)
        if not is_successful(opened):
            return opened
        backend, handle = opened.unwrap().backend, opened.unwrap().handle
        if backend.save is None:
            return Failure(unsaved(step.sink, _key_of(item), backend))
        key = _parsed(item.key, step.sink, backend)
        if not is_successful(key):
            return key
        saved = backend.save(
            handle,
            key.unwrap(),
            _recorded(item, step),
            SaveOptions(step.if_exists, step.options),
        )
        return saved.alt(lambda error: _located(error, key.unwrap(), step.sink))

    def _convert(self, step: Convert[object], item: Item[object]) -> Outcome[Item[object]]:
        find = self.registry.find_framework
        target = Success(step.to) if isinstance(step.to, Framework) else find(step.to)
        how = Transfer(step.device, step.copy, step.casting)
        payload = and_then(
            target, lambda to: hand_over(item.payload, to, how, self.registry.find_owner)
        )
        return payload.map(lambda it: Item(item.key, it, item.metadata, item.history))


def _on_item(
    step: object, value: object, run: Callable[[Item[object]], Outcome[Item[object]]]
) -> Outcome[object]:
    if not isinstance(value, Item):
        return Failure(not_fitting(step, value))
    item = cast("Item[object]", value)
    done = run(item).map(lambda it: _recorded(it, step))
    return done.alt(lambda error: _located(error, item.key, None))


def _parsed(key: object, config: object, backend: Backend[object, object]) -> Outcome[Key]:
    root = backend.root(config) if backend.root is not None else None
    parsed = parse_key(cast("str", key), root, backend.reserved)
    return parsed if is_successful(parsed) else Failure(evolve(parsed.failure(), config=config))


def _of_one(step: Load[object], key: str) -> Load[object]:
    """Give a load as the history says it: of a virtual store, the place of the key alone."""
    source = step.source
    return evolve(step, source=source.only(key)) if isinstance(source, VirtualConfig) else step


def _recorded(item: Item[B], step: object) -> Item[B]:
    event = Event(item.key, step, nbytes_of(item.payload) or 0, __version__)
    return Item(item.key, item.payload, item.metadata, (*item.history, event))


def _applied(function: Callable[..., object], item: Item[object]) -> Outcome[Item[object]]:
    def with_payload(payload: object) -> Item[object]:
        same = _axis_count(payload) == _axis_count(item.payload)
        metadata = item.metadata if same else evolve(item.metadata, axes=(), scale=(), unit=())
        return Item(item.key, payload, metadata, item.history)

    return called(function, item.payload, item.key).map(with_payload)


def _axis_count(payload: object) -> int | None:
    shape: object = getattr(payload, "shape", None)
    return len(cast("tuple[int, ...]", shape)) if isinstance(shape, tuple) else None


def _renamed(step: Rename, item: Item[object]) -> Outcome[Item[object]]:
    return _rename_key(step, item.key).map(
        lambda key: Item(key, item.payload, item.metadata, item.history)
    )


def _rename_key(step: Rename, key: str) -> Outcome[str]:
    return called(partial(new_key, step), key, key, step.to)


def _located(error: StorageError, key: str, config: object) -> StorageError:
    """Give the error with the key and config that it lacks: codecs know neither."""
    return evolve(error, key=error.key or key, config=error.config or config)


def _outcome_of(step: Callable[..., object], value: object) -> Outcome[object]:
    """Call a step that is a plain function: what it gives must be an outcome."""
    outcome = called(step, value, _key_of(value))
    if not is_successful(outcome):
        return outcome
    given = outcome.unwrap()
    if is_outcome(given):
        return given
    return Failure(
        UnsupportedPayload(
            _key_of(value),
            None,
            f"The step {step!r} gave a {type(given).__name__} and not an outcome.",
            "Give Success(value) or Failure(error); for a plain function use apply.",
        )
    )


def _key_of(value: object) -> str:
    """Give the key that a value is or has; its own str() is not trusted with an error's text."""
    name: object = cast("Item[object]", value).key if type(value) is Item else value
    return str(name) if type(name) is str or isinstance(name, PurePath) else ""


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

"""The dispatcher: nothing is raised, every failure says where, and no work is done for nothing."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from attrs import evolve, frozen

from polystore import (
    Backend,
    BackendNotRegistered,
    Context,
    Corrupt,
    DiskConfig,
    Dispatcher,
    Failure,
    FunctionFailed,
    IfExists,
    InvalidKey,
    Item,
    KeyLike,
    MemoryConfig,
    NotFound,
    Outcome,
    Payload,
    Pipeline,
    Reach,
    ReadOnly,
    Save,
    Saved,
    Step,
    Success,
    Unexpected,
    UnsupportedOperation,
    UnsupportedPayload,
    apply,
    compose,
    convert,
    default_registry,
    is_successful,
    load,
    rename,
    save,
)
from running import anything, saved_array


@pytest.fixture
def disk(tmp_path: Path) -> DiskConfig:
    return DiskConfig(root=tmp_path)


# What the user's functions do.


def fails(_value: object) -> str:
    raise LookupError("no such well")


class SilentError(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("unprintable")


def fails_silently(_value: object) -> str:
    raise SilentError


def imports_what_is_missing(_value: object) -> str:
    raise ModuleNotFoundError("No module named 'mine'", name="mine")


@pytest.mark.parametrize("function", [fails, imports_what_is_missing])
@pytest.mark.parametrize("make", [apply, rename])
def test_a_function_that_raises_is_a_failure_with_its_traceback(
    make: Callable[[Callable[[object], str]], object], function: Callable[[object], str]
) -> None:
    error = anything(make(function), Item("a", 1)).failure()
    assert isinstance(error, FunctionFailed)
    assert error.key == "a"
    assert function.__name__ in error.message
    assert f"in {function.__name__}" in error.traceback
    assert pickle.loads(pickle.dumps(error)) == error


@pytest.mark.parametrize("make", [apply, rename])
def test_an_exception_that_cannot_be_printed_is_a_failure_too(
    make: Callable[[Callable[[object], str]], object],
) -> None:
    assert not is_successful(anything(make(fails_silently), Item("a", 1)))


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_stops_the_program_passes(raised: type[BaseException]) -> None:
    def stops(_value: object) -> str:
        raise raised

    for step in (apply(stops), rename(stops), compose(apply(stops), apply(str))):
        with pytest.raises(raised):
            anything(step, Item("a", 1))


def test_nothing_is_saved_after_a_failure(disk: DiskConfig) -> None:
    saved_array(disk, "a.npy")
    sink = MemoryConfig(name="after a failure")
    outcome = compose(load(disk), apply(fails), save(sink))("a.npy")
    assert isinstance(outcome.failure(), FunctionFailed)
    assert isinstance(load(sink)("a.npy").failure(), NotFound)


@pytest.mark.parametrize("key", ["", "../b.npy", "/etc/b.npy", "b\0.npy"])
def test_a_bad_key_from_a_rename_touches_nothing(disk: DiskConfig, key: str) -> None:
    saved_array(disk, "a.npy")
    modes: tuple[IfExists, ...] = ("fail", "replace", "skip")
    for if_exists in modes:
        pipeline = compose(load(disk), rename(lambda _old: key), save(disk, if_exists=if_exists))
        error = pipeline("a.npy").failure()
        assert isinstance(error, InvalidKey)
        assert error.config == disk
    assert [path.name for path in Path(disk.root).iterdir()] == ["a.npy"]


@pytest.mark.parametrize("new", [7, None, b"b.npy", Path("b.npy")])
def test_a_rename_to_no_text_is_a_failure(disk: DiskConfig, new: object) -> None:
    saved_array(disk, "a.npy")
    pipeline = compose(load(disk), rename(lambda _old: cast("str", new)), save(disk))
    assert not is_successful(pipeline("a.npy"))
    assert [path.name for path in Path(disk.root).iterdir()] == ["a.npy"]


# What does not fit.


class Unnameable:
    """A value that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no name")

    __repr__ = __str__


def pipeline_of(*steps: object) -> object:
    """Compose what does not fit together."""
    return Pipeline[object, object](cast("tuple[Callable[..., object], ...]", steps))


MISFITS: list[tuple[Callable[[DiskConfig], object], object]] = [
    (load, 3),
    (load, None),
    (load, b"a.npy"),
    (load, Item("a.npy", 1)),
    (save, 42),
    (save, "a.npy"),
    (save, None),
    (lambda disk: compose(load(disk), save(disk)), 3),
    (lambda disk: pipeline_of(save(disk), load(disk)), Item("new.npy", np.arange(3))),
    (lambda _: convert(to="numpy"), "a"),
    (lambda _: apply(str), "a"),
    (lambda _: rename(suffix=""), "a"),
    (lambda _: convert(to="numpy"), Item("a", {"not": "an array"})),
    (lambda _: 7, "a"),
    (lambda _: None, "a"),
    (lambda _: pipeline_of(7), "a"),
    (lambda _: pipeline_of(str), "a"),
    (lambda _: fails, "a"),
    (load, Unnameable()),
    (save, Unnameable()),
    (lambda disk: compose(load(disk), save(disk, if_exists="skip")), Unnameable()),
    (lambda _: str, "a"),
]


@pytest.mark.parametrize(
    ("make_step", "value"),
    MISFITS,
)
def test_what_does_not_fit_is_a_typed_failure(
    disk: DiskConfig, make_step: Callable[[DiskConfig], object], value: object
) -> None:
    outcome = anything(make_step(disk), value)
    assert not is_successful(outcome)
    assert str(outcome.failure())


def test_what_does_not_fit_is_named(disk: DiskConfig) -> None:
    error = anything(save(disk), 42).failure()
    assert isinstance(error, UnsupportedPayload)
    assert "Save" in error.message
    assert "int" in error.message
    assert isinstance(anything(load(disk), 3).failure(), InvalidKey)


def test_a_config_that_nobody_knows_is_named() -> None:
    @frozen
    class CloudConfig:
        pass

    error = anything(load(cast("DiskConfig", CloudConfig())), "a").failure()
    assert isinstance(error, BackendNotRegistered)
    assert "CloudConfig" in error.message
    for no_config in ("plate", ["plate"], None):
        error = anything(load(cast("DiskConfig", no_config)), "a").failure()
        assert isinstance(error, BackendNotRegistered)


MISSING = """
import sys
sys.modules["{package}"] = None
from polystore import Item, compose, convert, load, read, save
print(repr(({code}).failure()))
"""


@pytest.mark.parametrize(
    ("package", "extra", "code"),
    [
        ("tifffile", "tiff", "read(sys.argv[1])"),
        ("torch", "torch", "convert(to='torch')(Item('a', __import__('numpy').arange(3)))"),
        ("jax", "jax", "convert(to='jax')(Item('a', __import__('numpy').arange(3)))"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, package: str, extra: str, code: str
) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    script = MISSING.format(package=package, code=code)
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.tif")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MissingDependency" in result.stdout, result.stderr
    assert f"pip install 'polystore[{extra}]'" in result.stdout
    assert f"package='{package}'" in result.stdout
    assert f"extra='{extra}'" in result.stdout


# What a store's own functions do.


@frozen
class OddConfig:
    """Names a store of the tests' own."""

    name: str = "odd"


def odd_dispatcher(**functions: object) -> Dispatcher:
    def opens(config: object, context: Context, /) -> Outcome[object]:
        return Success(config)

    def closes(_handle: object, /) -> None:
        return None

    make = cast("Callable[..., Backend[object, object]]", Backend)
    record = make(
        **{
            "name": "odd",
            "config": OddConfig,
            "reach": Reach.PROCESS,
            "open": opens,
            "close": closes,
            **functions,
        }
    )
    return Dispatcher(default_registry().extended(record).unwrap())


ODD_LOAD = cast("Step[KeyLike, Item[Payload]]", load(cast("DiskConfig", OddConfig())))
ODD_SAVE = cast("Save[object]", save(cast("DiskConfig", OddConfig())))


@pytest.mark.parametrize("function", ["open", "load", "save"])
def test_a_bug_in_a_store_is_a_failure_with_its_traceback(function: str) -> None:
    def buggy(*_arguments: object) -> Outcome[object]:
        raise ZeroDivisionError("a bug")

    dispatcher = odd_dispatcher(**{"load": buggy, "save": buggy} | {function: buggy})
    loaded = dispatcher.run(ODD_LOAD, "a")
    saved = dispatcher.run(ODD_SAVE, Item("a", 1))
    for error in (loaded.failure(), saved.failure()):
        assert isinstance(error, Unexpected)
        assert error.key == "a"
        assert "in buggy" in error.traceback
        assert "report it" in error.advice


def test_what_a_store_cannot_do_is_said() -> None:
    dispatcher = odd_dispatcher()
    for error in (
        dispatcher.run(ODD_LOAD, "a").failure(),
        dispatcher.run(ODD_SAVE, Item("a", 1)).failure(),
    ):
        assert isinstance(error, UnsupportedOperation)
        assert "odd" in error.message
        assert error.config == OddConfig()


def test_what_can_be_loaded_from_alone_is_read_only() -> None:
    def loads(_handle: object, key: str, _format: object, /) -> Outcome[Item[Payload]]:
        return Success(Item(key, 1))

    dispatcher = odd_dispatcher(load=loads)
    modes: tuple[IfExists, ...] = ("fail", "replace", "skip")
    for if_exists in modes:
        keep = evolve(ODD_SAVE, if_exists=if_exists)
        error = dispatcher.run(keep, Item("a", 1)).failure()
        assert isinstance(error, ReadOnly)
        assert (error.key, error.config) == ("a", OddConfig())
        pipeline = cast("Step[KeyLike, Saved]", pipeline_of(ODD_LOAD, keep))
        assert isinstance(dispatcher.run(pipeline, "a").failure(), ReadOnly)


def test_an_error_gets_the_key_and_config_that_it_lacks(disk: DiskConfig) -> None:
    Path(disk.root, "a.npy").write_bytes(b"not one")
    error = load(disk)("a.npy").failure()
    assert isinstance(error, Corrupt)
    assert (error.key, error.config) == ("a.npy", disk)
    refused = save(disk)(Item("b.npy", "text")).failure()
    assert (refused.key, refused.config) == ("b.npy", disk)
    bad = load(disk)("../a.npy").failure()
    assert (bad.key, bad.config) == ("../a.npy", disk)


def test_an_error_that_knows_more_keeps_it() -> None:
    other = DiskConfig(root="/elsewhere")

    def loads(*_arguments: object) -> Outcome[object]:
        return Failure(NotFound("wrapped", other, "Gone.", "Look."))

    error = odd_dispatcher(load=loads).run(ODD_LOAD, "a").failure()
    assert (error.key, error.config) == ("wrapped", other)


def test_a_sparse_tensor_is_told_to_become_dense(disk: DiskConfig) -> None:
    import torch

    sparse = torch.eye(3).to_sparse()
    refused = save(disk)(Item("a.pt", sparse)).failure()
    assert isinstance(refused, UnsupportedPayload)
    assert "dense" in refused.advice

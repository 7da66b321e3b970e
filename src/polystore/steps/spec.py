"""Specs: pipelines, steps and configs as JSON, and back, equal.

A value is an object with one key, its tag: a step's name (`load`, `save`, ...), or the name under
which the registry knows a store. Fields at their defaults are left out.

    {"pipeline": [
        {"load": {"source": {"disk": {"root": "/data/plate"}}}},
        {"convert": {"to": "jax"}},
        {"apply": {"function": "lab.filters:denoise"}},
        {"rename": {"suffix": ".npy"}},
        {"save": {"sink": {"zarr": {"root": "/data/plate.zarr"}}, "if_exists": "skip"}}
    ]}

A store made of others holds their specs; virtual items are an object of their keys, or a function:

    {"readonly": {"inner": {"disk": {"root": "/data/plate"}}}}
    {"route": {"routes": [
        {"store": {"zarr": {"root": "/data/plate.zarr"}}, "kinds": ["array"]},
        {"store": {"disk": {"root": "/data/plate"}}}
    ]}}
    {"virtual": {"items": {"t0": {
        "place": {"store": {"disk": {"root": "/data/plate"}}, "key": "stack.tif"},
        "index": [0, [0, 512]]
    }}}}
    {"virtual": {"items": {"function": "lab.plates:well"}, "keys": ["A01", "A02"]}}

Choices are words, a compressor has its own name as its tag, and no compressor is `"none"`:

    {"zarr": {
        "root": "image.zarr", "layout": "image", "compressor": {"zstd": {"level": 5}},
        "store": {"objects": {"url": "s3://plates", "options": {"region": "eu-central-1"}}}
    }}

Reading a spec imports nothing that it names: functions are those that the caller gives, and stores,
formats and frameworks those of the registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, cast

from polystore.core.errors import InvalidSpec
from polystore.core.outcome import Outcome, catch, guard
from polystore.discover import default_registry

if TYPE_CHECKING:
    from polystore.core.payload import Json
    from polystore.core.registry import Registry
    from polystore.steps.spec_kinds import NotInSpecError

__all__ = ["Functions", "from_spec", "to_spec"]

Functions: TypeAlias = Mapping[str, Callable[..., object]]
"""The functions that a spec may name, by `module:qualname`."""


def to_spec(value: object, registry: Registry | None = None) -> Outcome[Json]:
    """Give the JSON value of a pipeline, a step or a config.

    `InvalidSpec` for what has no name that another process could know: a lambda, a function inside
    a function, a framework or config that is not registered. A function is named `module:qualname`.

    >>> from polystore import DiskConfig, compose, load, rename
    >>> to_spec(compose(load(DiskConfig(root="/data")), rename(suffix=".npy"))).unwrap()
    {'pipeline': [{'load': {'source': {'disk': {'root': '/data'}}}},
                  {'rename': {'suffix': '.npy'}}]}
    """
    from polystore.steps.spec_kinds import NotInSpecError, Tagged
    from polystore.steps.spec_writing import writer

    known = registry or default_registry()
    return guard(
        lambda: cast("Json", writer(known).unstructure(value, Tagged)),
        catch(NotInSpecError, _as_error),
        # A caller without a type checker may have put anything into a step.
        *(
            catch(kind, _as_unwritable)
            for kind in (AttributeError, TypeError, ValueError, RecursionError)
        ),
    )


def from_spec(
    spec: Json, functions: Functions | None = None, registry: Registry | None = None
) -> Outcome[object]:
    """Give the pipeline, step or config that a JSON value describes: equal to what was written.

    `functions` are those that the spec may name; nothing is imported because a spec names it. Text
    is text, a number a number, and an unknown field is an error: `InvalidSpec` says what is wrong,
    and in `where` at which place.

    >>> spec = {"pipeline": [{"convert": {"to": "jax", "casting": "any"}}]}
    >>> from_spec(spec).failure().where
    '$.pipeline[0].convert.casting'
    >>> from_spec({"load": {"source": {"disk": {"root": "/data"}}}}).unwrap()
    Load(source=DiskConfig(root='/data', ...), format=None, lazy=False, region=None)
    """
    from polystore.steps.spec_kinds import NotInSpecError, Tagged
    from polystore.steps.spec_reading import at, reader

    converter = reader(registry or default_registry(), dict(functions or {}))
    return guard(
        lambda: at("", lambda: converter.structure(spec, Tagged)),
        catch(NotInSpecError, _as_error),
    )


def _as_unwritable(error: Exception) -> InvalidSpec:
    return InvalidSpec("", None, f"This has no spec: {error}.", "Build it of steps.", "$")


def _as_error(problem: NotInSpecError) -> InvalidSpec:
    where = f"${problem.where}"
    return InvalidSpec(
        "",
        None,
        f"This is no spec, at {where}: {problem.reason}.",
        "See the documentation of polystore.to_spec for what a spec can say.",
        where,
    )

"""`compose`: steps become one step; `Pipeline` runs it, on one key or on many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from attrs import frozen

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from polystore.core.outcome import Outcome

__all__ = ["Pipeline", "Step", "compose"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
G = TypeVar("G")
H = TypeVar("H")
J = TypeVar("J")
A_contra = TypeVar("A_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)


class Step(Protocol[A_contra, B_co]):
    """Anything that can stand in a pipeline: a function from a value to an outcome."""

    def __call__(self, value: A_contra, /) -> Outcome[B_co]:
        """Give the outcome for one value."""
        ...


@frozen
class Pipeline(Generic[A_contra, B_co]):
    """Steps, run one after the other until one fails. Made by `compose`.

    A frozen value: it can be compared, pickled, sent to other processes, and written as JSON with
    `to_spec`, as long as the functions in it can.
    """

    steps: tuple[Callable[..., object], ...]

    def __call__(self, value: A_contra, /) -> Outcome[B_co]:
        """Run the pipeline on one key (or item), with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, value)

    def map(
        self,
        keys: Iterable[A_contra],
        executor: Executor | None = None,
        max_workers: int | None = None,
        progress: bool = False,
    ) -> Iterator[tuple[A_contra, Outcome[B_co]]]:
        """Run the pipeline on many keys; give `(key, outcome)` for each, in order, as they come.

        Lazy: it runs as far ahead as the workers need, never all at once. Without `executor`
        and `max_workers`, items run in threads or, where that is faster, in the caller's thread;
        `max_workers=N` means N threads (1: the caller's). An executor that is given is used and not
        shut down. One item's failure is its outcome, and the others go on. Ctrl-C, or dropping the
        iterator, cancels what has not begun and waits for what has; whatever was saved is whole.
        `progress` shows a bar on the terminal (extra `cli`).

        A process pool needs a pipeline that pickles, and refuses stores that only this process can
        see (`Unavailable`). An exception of the `keys` iterable itself is raised, after the
        outcomes of the keys before it.
        """
        from polystore.batch import map_keys
        from polystore.dispatch import default_dispatcher

        return map_keys(default_dispatcher(), self, keys, executor, max_workers, progress)


@overload
def compose(a: Callable[[A], Outcome[B]], /) -> Pipeline[A, B]: ...
@overload
def compose(a: Callable[[A], Outcome[B]], b: Callable[[B], Outcome[C]], /) -> Pipeline[A, C]: ...
@overload
def compose(
    a: Callable[[A], Outcome[B]],
    b: Callable[[B], Outcome[C]],
    c: Callable[[C], Outcome[D]],
    /,
) -> Pipeline[A, D]: ...
@overload
def compose(
    a: Callable[[A], Outcome[B]],
    b: Callable[[B], Outcome[C]],
    c: Callable[[C], Outcome[D]],
    d: Callable[[D], Outcome[E]],
    /,
) -> Pipeline[A, E]: ...
@overload
def compose(
    a: Callable[[A], Outcome[B]],
    b: Callable[[B], Outcome[C]],
    c: Callable[[C], Outcome[D]],
    d: Callable[[D], Outcome[E]],
    e: Callable[[E], Outcome[F]],
    /,
) -> Pipeline[A, F]: ...
@overload
def compose(
    a: Callable[[A], Outcome[B]],
    b: Callable[[B], Outcome[C]],
    c: Callable[[C], Outcome[D]],
    d: Callable[[D], Outcome[E]],
    e: Callable[[E], Outcome[F]],
    f: Callable[[F], Outcome[G]],
    /,
) -> Pipeline[A, G]: ...
@overload
def compose(
    a: Callable[[A], Outcome[B]],
    b: Callable[[B], Outcome[C]],
    c: Callable[[C], Outcome[D]],
    d: Callable[[D], Outcome[E]],
    e: Callable[[E], Outcome[F]],
    f: Callable[[F], Outcome[G]],
    g: Callable[[G], Outcome[H]],
    /,
) -> Pipeline[A, H]: ...
@overload
def compose(
    a: Callable[[A], Outcome[B]],
    b: Callable[[B], Outcome[C]],
    c: Callable[[C], Outcome[D]],
    d: Callable[[D], Outcome[E]],
    e: Callable[[E], Outcome[F]],
    f: Callable[[F], Outcome[G]],
    g: Callable[[G], Outcome[H]],
    h: Callable[[H], Outcome[J]],
    /,
) -> Pipeline[A, J]: ...
def compose(*steps: Callable[..., object]) -> Pipeline[Any, Any]:  # the overloads are public
    """Give the pipeline of one to eight steps; pipelines among them are taken apart.

    Each step takes what the one before it gives: a type checker refuses steps that do not fit. A
    pipeline is a step too, so that longer ones are made of shorter ones.

    >>> from polystore import DiskConfig, ZarrConfig, convert, load, save
    >>> disk, zarr = DiskConfig(root="plate"), ZarrConfig(root="plate.zarr")
    >>> pipeline = compose(load(disk), convert(to="jax"), save(zarr))
    >>> compose(compose(load(disk), convert(to="jax")), save(zarr)) == pipeline
    True
    """
    flat: list[Callable[..., object]] = []
    for step in steps:
        flat.extend(step.steps if isinstance(step, Pipeline) else (step,))
    return Pipeline(tuple(flat))

"""Pipelines and executors that the tests of batches share."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar, cast

from polystore import Failure, NotFound, Outcome, Pipeline, Success, compose, is_successful

__all__ = ["Inline", "Pickling", "close", "halved", "kind", "pipeline_of"]

A = TypeVar("A")
B = TypeVar("B")


def close(results: Iterator[object]) -> None:
    cast("Generator[object, None, None]", results).close()


def kind(outcome: Outcome[object]) -> str:
    return "" if is_successful(outcome) else type(outcome.failure()).__name__


def pipeline_of(step: Callable[[A], Outcome[B]]) -> Pipeline[A, B]:
    return compose(step)


def halved(value: int) -> Outcome[int]:
    if value % 2:
        return Failure(NotFound(str(value), None, "Odd.", "Even ones."))
    return Success(value // 2)


class Inline(Executor):
    """An executor that runs everything when it is given."""

    # typeshed ties the arguments to the function by a ParamSpec, which a pickle cannot keep
    def submit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, fn: Callable[..., B], /, *args: object, **kwargs: object
    ) -> Future[B]:
        future: Future[B] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Pickling(Executor):
    """An executor that sends everything to this very process, as other processes get it."""

    # typeshed ties the arguments to the function by a ParamSpec, which a pickle cannot keep
    def submit(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, fn: Callable[..., B], /, *args: object, **kwargs: object
    ) -> Future[B]:
        sent = pickle.loads(pickle.dumps((fn, args, kwargs)))
        future: Future[B] = Future()
        future.set_result(pickle.loads(pickle.dumps(sent[0](*sent[1], **sent[2]))))
        return future

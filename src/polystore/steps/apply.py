"""`apply`: a function of the user's is called with the payload."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from polystore.core.item import Item
    from polystore.core.outcome import Outcome

__all__ = ["Apply", "apply"]

A = TypeVar("A")
B = TypeVar("B")
A_contra = TypeVar("A_contra", contravariant=True)
B_co = TypeVar("B_co", covariant=True)


@frozen
class Apply(Generic[A_contra, B_co]):
    """Call `function` with the payload. Made by `apply`."""

    function: Callable[[A_contra], B_co]

    def __call__(self, item: Item[A_contra, object], /) -> Outcome[Item[B_co]]:
        """Give the item with the function's result as its payload, with the default dispatcher."""
        from polystore.dispatch import default_dispatcher

        return default_dispatcher().run(self, item)


def apply(function: Callable[[A], B]) -> Apply[A, B]:
    """Give the step that calls a function with an item's payload; its result is the new payload.

    The key stays, and so does the metadata; but if the result has another number of axes, what is
    known of the axes (their names, scale and unit) goes. If the function raises an `Exception`, the
    outcome is `FunctionFailed` with the traceback as text. Annotate the function: the type of a
    bare lambda cannot be inferred. For process pools and specs it must be importable (no lambda).

    >>> from polystore import Item
    >>> def double(values: list[int]) -> list[int]:
    ...     return [2 * value for value in values]
    >>> apply(double)(Item("a.json", [1, 2])).map(lambda item: item.payload)
    <Success: [2, 4]>
    """
    return Apply(function)

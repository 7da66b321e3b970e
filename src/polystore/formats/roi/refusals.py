"""The sentences with which the codec of regions says that a region is none of our shapes."""

from __future__ import annotations

from polystore.core.errors import UnsupportedPayload

__all__ = ["cannot_say"]


def cannot_say(what: str) -> UnsupportedPayload:
    """Give the error of a region that ImageJ can draw, and that no shape of ours is.

    >>> print(cannot_say("a text"))
    The region is a text, which none of our shapes is. Delete it in ImageJ, or redraw it there.
    """
    advice = "Delete it in ImageJ, or redraw it there."
    return UnsupportedPayload(
        "", None, f"The region is {what}, which none of our shapes is.", advice
    )

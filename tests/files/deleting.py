"""A tree that several processes delete at once."""

from __future__ import annotations

from polystore import DiskConfig, NotFound, delete_tree, is_successful

__all__ = ["deletes_p"]


def deletes_p(root: str) -> int:
    """Delete the tree `p`, and give the count; it may be gone already, or go on the way."""
    outcome = delete_tree(DiskConfig(root=root), "p")
    if is_successful(outcome):
        return outcome.unwrap()
    assert isinstance(outcome.failure(), NotFound), str(outcome.failure())
    return 0

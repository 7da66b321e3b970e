"""`FileManager`: stores by name, and all that one does with them."""

from __future__ import annotations

from attrs import frozen

__all__ = ["FileManager"]


@frozen
class FileManager:
    """Stores by name."""

"""The errors of what cannot be read of an array's elements."""

from __future__ import annotations

from polystore.core.errors import Corrupt, StorageError, TooLarge

__all__ = ["damaged_elements", "no_memory", "too_large"]

_AGAIN = "Save the array again from its source."


def damaged_elements(reason: str) -> Corrupt:
    """Give the error for chunks or shards that are missing, cut off, or not what they should be.

    >>> print(damaged_elements("the file 'c/0' is missing"))
    This array is damaged: the file 'c/0' is missing. Save the array again from its source.
    """
    return Corrupt("", None, f"This array is damaged: {reason}.", _AGAIN)


def too_large(nbytes: int, max_bytes: int) -> StorageError:
    """Give the error for what takes more memory than the config allows.

    >>> print(too_large(5, 4).message)
    Reading the array takes 5 bytes, and the limit is 4.
    """
    return TooLarge(
        "",
        None,
        f"Reading the array takes {nbytes} bytes, and the limit is {max_bytes}.",
        "If you trust the store, raise max_bytes in the config.",
    )


def no_memory(_error: Exception) -> StorageError:
    """Give the error for what takes more memory than there is, within the limit of the config.

    >>> print(no_memory(MemoryError()).message)
    There is not enough memory for this array, or a chunk of it is far too long.
    """
    return TooLarge(
        "",
        None,
        "There is not enough memory for this array, or a chunk of it is far too long.",
        "Read it on a larger machine, or save it again from its source.",
    )

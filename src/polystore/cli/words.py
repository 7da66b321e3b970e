"""What is typed on a command line with commas between."""

from __future__ import annotations

import argparse

__all__ = ["whole_numbers", "words"]


def words(text: str) -> tuple[str, ...]:
    """Give the words between the commas; argparse's error where one is empty.

    >>> words("z,y,x")
    ('z', 'y', 'x')
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list such as z,y,x")
    return parts


def whole_numbers(text: str) -> tuple[int, ...]:
    """Give the numbers between the commas, each at least 1; argparse's error for others.

    >>> whole_numbers("1,512,512")
    (1, 512, 512)
    """
    try:
        numbers = tuple(map(int, words(text)))
    except ValueError:
        numbers = (0,)
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 1,512,512")
    return numbers

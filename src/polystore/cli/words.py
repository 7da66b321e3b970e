"""What is typed on a command line with commas between."""

from __future__ import annotations

import argparse

__all__ = ["axes_named", "first_numbers", "whole_numbers", "words"]


def words(text: str) -> tuple[str, ...]:
    """Give the words between the commas; argparse's error where one is empty.

    >>> words("z,y,x")
    ('z', 'y', 'x')
    """
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise argparse.ArgumentTypeError(f"{text!r} is no list such as z,y,x")
    return parts


def axes_named(text: str) -> tuple[str, ...]:
    """Give the axes between the commas; argparse's error for letters that have none between them.

    >>> axes_named("z,y,x"), axes_named("time")
    (('z', 'y', 'x'), ('time',))
    """
    if len(text) > 1 and set(text.lower()) <= set("tczyxs"):
        message = f"{text!r} is one name: separate them by commas, as in {','.join(text)}"
        raise argparse.ArgumentTypeError(message)
    return words(text)


def first_numbers(text: str) -> int | tuple[tuple[str, int], ...]:
    """Give the number that names count from, or those of some names; argparse's error for others.

    >>> first_numbers("0"), first_numbers("field=0,channel=1")
    (0, (('field', 0), ('channel', 1)))
    """
    from polystore.configs.zarr import COUNTED

    if _is_number(text.strip()):
        return int(text)
    pairs = [tuple(map(str.strip, part.partition("="))) for part in words(text)]
    fit = all(name in COUNTED and _is_number(number) for name, _, number in pairs)
    if not fit or len({name for name, _, _ in pairs}) < len(pairs):
        example = f"field=0,channel=1 (of {', '.join(COUNTED)})"
        raise argparse.ArgumentTypeError(f"{text!r} is no number, nor numbers such as {example}")
    return tuple((name, int(number)) for name, _, number in pairs)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


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

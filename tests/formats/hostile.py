"""Decode damaged files of one format, as a program: the last one is kept if it dies of it.

    python tests/formats/hostile.py FORMAT COUNT FILE

It prints, as JSON, which errors came back how often, and what was wrong; FILE is the one that is
being decoded. A decode that takes more than five seconds of processor time ends the program by a
signal.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from bytes_source import source_of
from samples import codec_named, samples

from polystore import Decoded, Limits, Mask, Outcome, Rois
from polystore.core.outcome import is_successful
from polystore.core.payload import nbytes_of
from polystore.formats.encoding import SMALL

MAX_BYTES = 2**24
FEW_BYTES = 200
MAY_GROW = MAX_BYTES + 2**26
"""Bytes: what one decode may hold, and what allocators keep beside it."""

SECONDS = 5
ALLOWED = {"Corrupt", "TooLarge", "UnsupportedPayload", "Lossy"}
MAY_MAP = 2**30
"""Bytes of address space: an allocation beyond these fails, whether it is touched or not."""


def wrong_with(
    name: str, content: bytes, limits: Limits, outcome: Outcome[Decoded[object]]
) -> str | None:
    """Say what the decoder of a format may not have given for these bytes, if it has."""
    if not is_successful(outcome):
        error = outcome.failure()
        return None if type(error).__name__ in ALLOWED else repr(error)
    payload = outcome.unwrap().payload
    if name == "json" and len(content) <= SMALL:
        return None  # no limit is meant for these
    held = nbytes_held(payload, content)
    allowed = limits.max_bytes
    what = type(payload).__name__
    return None if held <= allowed else f"{what} of {held} bytes, and the limit is {allowed}"


def nbytes_held(payload: object, content: bytes) -> int:
    """Give the bytes that a payload takes at least, in the measure of its format's limit."""
    if isinstance(payload, Rois):
        masks = (each.shape for each in payload.regions if isinstance(each.shape, Mask))
        return max(len(content), sum(mask.pixels.nbytes for mask in masks))
    if hasattr(payload, "__array__"):  # a tensor of TensorFlow has no `nbytes`
        return np.asarray(payload).nbytes
    return len(payload) if isinstance(payload, str) else nbytes_of(payload) or 0


def damaged(files: list[bytes], chance: random.Random) -> bytes:
    """Give one of the files with bytes flipped, cut, doubled, zeroed, or another's in between."""
    content = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(len(content) + 1)
        # Headers and directories are at the ends, and are most of what a decoder believes.
        at = chance.choice((at, min(at, 512) % (len(content) + 1), max(len(content) - at % 512, 0)))
        length = chance.choice((1, 2, 4, 8, chance.randrange(1, 4096)))
        other = chance.choice(files)
        start = chance.randrange(len(other) + 1)
        match chance.randrange(7):
            case 0:
                del content[at:]
            case 1:
                content[at : at + length] = chance.randbytes(len(content[at : at + length]))
            case 2:
                content[at : at + length] = b"\xff" * len(content[at : at + length])
            case 3:
                content[at : at + length] = bytes(len(content[at : at + length]))
            case 4:
                content[at:at] = content[at : at + length]
            case 5:
                content[at : at + length] = other[start : start + length]
            case _ if at < len(content):
                content[at] ^= 1 << chance.randrange(8)
            case _:
                pass
    return bytes(content)


def peak() -> int:
    """Give the most memory that this program has held, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def limit_memory() -> None:
    """Let this program map so much more than it has mapped now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (now,) = (int(line.split()[1]) * 1024 for line in lines if line.startswith("VmSize"))
    resource.setrlimit(resource.RLIMIT_AS, (now + MAY_MAP, resource.RLIM_INFINITY))


def main() -> None:
    """Damage, decode, count."""
    name, count, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    codec, files = codec_named(name), list(samples(name))
    for content in files:
        codec.decode(source_of(content), Limits())
    before, found, wrong = peak(), Counter[str](), list[str]()
    limit_memory()
    chance = random.Random(name)  # noqa: S311 - to be the same in every run
    with tempfile.TemporaryFile() as heard, path.open("wb") as last:
        os.dup2(heard.fileno(), 2)
        for number in range(count):
            content = damaged(files, chance)
            limits = Limits(chance.choice((0, FEW_BYTES, MAX_BYTES, MAX_BYTES)))
            os.pwrite(last.fileno(), content, 0)
            os.truncate(last.fileno(), len(content))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                outcome = codec.decode(source_of(content), limits)
            except Exception as error:  # noqa: BLE001 - that there is none is what is tested
                wrong.append(f"file {number} raised {error!r}")
                continue
            kind = "Success" if is_successful(outcome) else type(outcome.failure()).__name__
            found[kind] += 1
            problem = wrong_with(name, content, limits, outcome)
            if problem is not None:
                wrong.append(f"file {number}: {problem}")
        signal.setitimer(signal.ITIMER_PROF, 0)
        if heard.seek(0, os.SEEK_END):
            heard.seek(0)
            wrong.append(f"on stderr: {heard.read(500)!r}")
    if peak() - before > MAY_GROW:
        wrong.append(f"memory grew by {peak() - before} bytes")
    print(json.dumps({"found": found, "wrong": wrong[:20]}))


if __name__ == "__main__":
    main()

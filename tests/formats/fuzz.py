"""Let `atheris` look for bytes that a decoder does not survive. Run by hand, as long as one likes.

    pip install atheris
    PYTHONPATH=tests:tests/formats python tests/formats/fuzz.py FORMAT -max_total_time=600

It begins with the valid files of the format, and ends at the first bytes that raise, hang, take
too much memory, or give what `hostile.py` says no decoder may; it writes them into the current
folder. They belong into a test then.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["polystore", "tifffile", "roifile", "zipfile", "json"]):
    from bytes_source import source_of
    from hostile import FEW_BYTES, MAX_BYTES, wrong_with
    from samples import codec_named, samples

    from polystore import Limits

    # Here, because a format's module and its library are imported when they are first used.
    CODEC = codec_named(sys.argv.pop(1))
    FILES = list(samples(CODEC.format.name))
    for _content in FILES:
        CODEC.decode(source_of(_content), Limits())


def main() -> None:
    """Fuzz the decoder of one format."""

    def decode(content: bytes) -> None:
        for limits in (Limits(FEW_BYTES), Limits(MAX_BYTES)):
            outcome = CODEC.decode(source_of(content), limits)
            problem = wrong_with(CODEC.format.name, content, limits, outcome)
            if problem is not None:
                raise AssertionError(problem)

    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(FILES):
            (Path(folder) / str(number)).write_bytes(content)
        limits = ["-timeout=5", "-rss_limit_mb=4096", "-max_len=20000"]
        atheris.Setup([*sys.argv, *limits, folder], decode)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""A process that has hardly any file descriptors left."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["few_descriptors"]


@contextmanager
def few_descriptors(free: int) -> Generator[None]:
    """Leave so many free; all are back afterwards."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + free + 2, limits[1]))
        fds: list[int] = []
        with suppress(OSError):  # none is left
            while True:
                fds.append(os.open(os.devnull, os.O_RDONLY))
        for place, fd in enumerate(reversed(fds)):
            if place < free:
                os.close(fd)
            else:
                taken.callback(os.close, fd)
        yield

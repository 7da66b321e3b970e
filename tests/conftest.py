"""What all tests share: how much hypothesis tries, and how other processes are started."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext

import pytest
from hypothesis import HealthCheck, settings

collect_ignore = ["formats/fuzz.py"]
"""A program that is run by hand, and wants a package that the tests do not."""

SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "fast", derandomize=True, deadline=None, max_examples=100, suppress_health_check=SLOW_IS_FINE
)
settings.register_profile(
    "thorough", deadline=None, max_examples=2000, suppress_health_check=SLOW_IS_FINE
)
settings.load_profile(os.environ.get("POLYSTORE_HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Give the way to start other processes: cheap, and without a copy of this one's threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["numpy", "polystore.dispatch", "polystore.backends.disk"])
    return context

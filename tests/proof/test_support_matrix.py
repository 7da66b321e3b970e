"""The page that says what is supported is what a run shows."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from support import page
from support_zarr import READERS, lacks

PAGE = Path(__file__).parent.parent.parent / "docs" / "support.md"
MISSING = lacks() or ", ".join(name for name in READERS if find_spec(name) is None)


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")
def test_the_page_is_what_a_run_shows() -> None:
    assert PAGE.read_text() == page(), (
        "write it anew: python tests/proof/support.py --output docs/support.md"
    )

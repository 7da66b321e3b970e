"""The page that says what is supported is what a run shows."""

from __future__ import annotations

from pathlib import Path

from support import page

PAGE = Path(__file__).parent.parent.parent / "docs" / "support.md"


def test_the_page_is_what_a_run_shows() -> None:
    assert PAGE.read_text() == page(), (
        "write it anew: python tests/proof/support.py --output docs/support.md"
    )

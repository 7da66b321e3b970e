"""The page about the harness lists the laws that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from polystore.testing import Law
from polystore.testing.catalogue import CODEC_LAWS, FRAMEWORK_LAWS, STORE_LAWS

PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"


def table(laws: tuple[Law, ...]) -> str:
    """Give the rows that the page is to have: paste them where the test fails."""
    rows = (f"| {law.name} | {' '.join(f'`{need}`' for need in law.needs)} |\n" for law in laws)
    return "| law | needs |\n|---|---|\n" + "".join(rows)


@pytest.mark.parametrize(
    ("title", "laws"),
    [("Stores", STORE_LAWS), ("Formats", CODEC_LAWS), ("Frameworks", FRAMEWORK_LAWS)],
)
def test_the_page_lists_every_law(title: str, laws: tuple[Law, ...]) -> None:
    section = PAGE.read_text().partition(f"### {title}\n\n")[2].partition("\n### ")[0]
    assert section.strip() == table(laws).strip()

"""The examples of the README and of the documentation run, and print what they say they print."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

from polystore import default_dispatcher, handles, write

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^():#\s]*)(#[^()\s]+)?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("A01.tif", "A02.tif"):
        image = np.arange(12, dtype=np.uint16).reshape(3, 4)
        write(tmp_path / "plate" / name, image).unwrap()
    namespace: dict[str, object] = {"__name__": "example"}
    printed = ""
    default_dispatcher().pool.close()  # what others put into memory is not found by the page
    with handles():
        for language, text in blocks(page):
            if language == "python":
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    exec(compile(text, page.name, "exec"), namespace)  # noqa: S102 - our own pages
                printed = output.getvalue()
            elif language == "text":
                assert printed == text


def test_every_page_but_the_lists_has_examples() -> None:
    assert {page.name for page in PAGES if any(kind == "python" for kind, _ in blocks(page))} >= {
        "README.md",
        "guide.md",
        "extending.md",
    }


def anchors(page: Path) -> set[str]:
    """Give what a link into a page can name: its headings, as GitHub makes anchors of them."""
    texts = HEADING.findall(BLOCK.sub("", page.read_text()))
    return {"#" + re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for name, anchor in LINK.findall(BLOCK.sub("", page.read_text())):
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {name}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {name}{anchor}"

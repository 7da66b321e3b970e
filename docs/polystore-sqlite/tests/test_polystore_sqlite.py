"""The store keeps every law of polystore's stores."""

from pathlib import Path
from tempfile import mkdtemp

import pytest
from polystore_sqlite import STORE, SqliteConfig

from polystore.testing import Law, laws_for


def fresh_store() -> SqliteConfig:
    return SqliteConfig(path=Path(mkdtemp()) / "store.db")


@pytest.mark.parametrize("law", laws_for(STORE), ids=str)
def test_store(law: Law) -> None:
    law.check(STORE, fresh_store)

"""The store keeps every law of polystore's stores."""

from tempfile import mkdtemp

import pytest
from polystore.testing import Law, laws_for

from polystore_sqlite import STORE, SqliteConfig


def fresh_store() -> SqliteConfig:
    return SqliteConfig(path=f"{mkdtemp()}/store.db")


@pytest.mark.parametrize("law", laws_for(STORE), ids=str)
def test_store(law: Law) -> None:
    law.check(STORE, fresh_store)

"""Object storage keeps the laws of stores: over sockets, with an S3 server of this machine."""

from __future__ import annotations

import pytest
from object_server import lacks, new_objects

from polystore.backends.objects import OBJECTS
from polystore.testing import Law, laws_for

pytestmark = pytest.mark.skipif(bool(lacks()), reason=lacks())


@pytest.mark.parametrize("law", laws_for(OBJECTS), ids=str)
def test_object_storage_keeps_the_law(law: Law) -> None:
    law.check(OBJECTS, new_objects, 1)

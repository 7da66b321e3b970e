"""The conformance harness: laws that a store, a format or a framework is proved with.

A third party needs a maker of fresh configs and four lines:

    @pytest.mark.parametrize("law", laws_for(STORE), ids=str)
    def test_store(law: Law) -> None:
        law.check(STORE, fresh_store)

A broken law is told as the smallest example that breaks it, and as code that tries it again: that
code imports all names from here. It needs hypothesis, which the extra `testing` brings.
"""

from polystore.core.item import Metadata
from polystore.core.records import Transfer
from polystore.core.rois import (
    Ellipse,
    Line,
    Points,
    Polygon,
    Polyline,
    Position,
    Rectangle,
    Roi,
    Rois,
)
from polystore.testing.arrays import ArrayExample, EveryDtype, array_examples, arrays
from polystore.testing.catalogue import EVERY_LAW, law_named, laws_for
from polystore.testing.codecs.damage import Damage, DamagedFile
from polystore.testing.codecs.examples import CodecExample
from polystore.testing.key_examples import keys
from polystore.testing.law import Law, LawBroken, no_config
from polystore.testing.samples import ArraysExample, Sample, TableExample, metadatas, payloads
from polystore.testing.stores.machine import (
    DeleteIt,
    LinkIt,
    MakeFolder,
    MoveIt,
    Operation,
    SaveIt,
    operations,
)

__all__ = [
    "EVERY_LAW",
    "ArrayExample",
    "ArraysExample",
    "CodecExample",
    "Damage",
    "DamagedFile",
    "DeleteIt",
    "Ellipse",
    "EveryDtype",
    "Law",
    "LawBroken",
    "Line",
    "LinkIt",
    "MakeFolder",
    "Metadata",
    "MoveIt",
    "Operation",
    "Points",
    "Polygon",
    "Polyline",
    "Position",
    "Rectangle",
    "Roi",
    "Rois",
    "Sample",
    "SaveIt",
    "TableExample",
    "Transfer",
    "array_examples",
    "arrays",
    "keys",
    "law_named",
    "laws_for",
    "metadatas",
    "no_config",
    "operations",
    "payloads",
]

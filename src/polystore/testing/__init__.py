"""The conformance harness: laws that a store, a format or a framework is proved with.

A third party needs a maker of fresh configs and four lines:

    @pytest.mark.parametrize("law", laws_for(STORE), ids=str)
    def test_store(law: Law) -> None:
        law.check(STORE, fresh_store)
"""

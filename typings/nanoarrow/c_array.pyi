from collections.abc import Iterable

from nanoarrow import Schema

class CArray:
    @property
    def schema(self) -> object: ...

def c_array_from_buffers(
    schema: Schema,
    length: int,
    buffers: Iterable[object],
    null_count: int = -1,
    offset: int = 0,
    children: Iterable[CArray] = (),
) -> CArray: ...

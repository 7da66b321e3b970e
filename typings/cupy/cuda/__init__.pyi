from types import TracebackType
from typing import Self

from cupy.cuda import runtime as runtime

class Device:
    def __init__(self, device: int | None = None) -> None: ...
    @property
    def id(self) -> int: ...
    def synchronize(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

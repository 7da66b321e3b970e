from typing_extensions import Buffer

MAX_BUFFERSIZE: int
MAX_OVERHEAD: int

def compress(
    source: Buffer,
    cname: bytes,
    clevel: int,
    shuffle: int = 1,
    blocksize: int = 0,
    typesize: int | None = None,
) -> bytes: ...
def decompress(source: Buffer, dest: Buffer) -> Buffer: ...

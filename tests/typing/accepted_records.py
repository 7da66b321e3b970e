"""Records of a third party: one value each, of functions whose parameters have other names."""

from collections.abc import Iterator
from typing import TypeVar, assert_type

from attrs import frozen

from polystore import (
    Array,
    Backend,
    ByteStore,
    Codec,
    Context,
    Convert,
    Decoded,
    DiskConfig,
    Encoded,
    Failure,
    FileFormat,
    Framework,
    HostArray,
    IfExists,
    Item,
    Json,
    Key,
    KeyLike,
    LazyArray,
    Limits,
    Load,
    Metadata,
    NotFound,
    Outcome,
    Page,
    Payload,
    Pipeline,
    Reach,
    Readable,
    Registry,
    Saved,
    SaveOptions,
    Sink,
    Source,
    Stat,
    Success,
    Transfer,
    ZarrConfig,
    apply,
    compose,
    convert,
    load,
    rename,
    save,
)

T_co = TypeVar("T_co", covariant=True)


@frozen
class SqliteConfig(Source[Payload], Sink[Payload]):
    """A store of bytes that reads and writes."""

    path: str


@frozen
class Connection:
    """The handle of `SqliteConfig`."""

    blobs: dict[str, bytes]


def connect(address: SqliteConfig) -> Outcome[Connection]:
    """Open."""
    return Success(Connection({address.path: b""}))


def disconnect(connection: Connection) -> None:
    """Close."""
    connection.blobs.clear()


def blob(connection: Connection, name: Key) -> Outcome[Readable]:
    """Get."""
    found = connection.blobs.get(name)
    if found is None:
        return Failure(NotFound(name, None, "No such blob.", "Look at the names."))
    content = found

    def read_into(offset: int, buffer: memoryview) -> int:
        part = content[offset : offset + len(buffer)]
        buffer[: len(part)] = part
        return len(part)

    return Success(Readable(len(content), read_into, lambda: None))


def insert(connection: Connection, name: Key, content: Encoded, clash: IfExists) -> Outcome[bool]:
    """Put."""
    connection.blobs[name] = b"".join(bytes(buffer) for buffer in content.buffers)
    return Success(clash != "skip")


def names(connection: Connection, prefix: str) -> Iterator[Outcome[Page]]:
    """List."""
    yield Success(tuple(Key(name) for name in connection.blobs if name.startswith(prefix)))


STORE = ByteStore(
    name="sqlite",
    config=SqliteConfig,
    reach=Reach.MACHINE,
    open=connect,
    close=disconnect,
    get=blob,
    put=insert,
    list=names,
)
assert_type(STORE, ByteStore[SqliteConfig, Connection])


@frozen
class CameraConfig(Source[HostArray]):
    """A store that is only read."""

    port: int


@frozen
class Camera:
    """The handle of `CameraConfig`."""

    frame: HostArray


def switch_on(address: CameraConfig, around: Context) -> Outcome[Camera]:
    """Open a store that is made of another."""
    opened = around.open(DiskConfig(root=str(address.port)))
    return opened.map(lambda it: it.handle).map(lambda handle: Camera(still(handle)))


def still(handle: object) -> HostArray:
    """Give a frame."""
    raise NotImplementedError(handle)


def switch_off(camera: Camera) -> None:
    """Close."""


def frame(camera: Camera, moment: Key, kind: FileFormat[object] | None) -> Outcome[Item[Payload]]:
    """Load."""
    return Success(Item(moment if kind is None else kind.name, camera.frame))


CAMERA = Backend(
    name="camera",
    config=CameraConfig,
    reach=Reach.PROCESS,
    open=switch_on,
    close=switch_off,
    load=frame,
)
assert_type(CAMERA, Backend[CameraConfig, Camera])


@frozen
class ReadOnlyConfig(Source[T_co]):
    """A store made of another, which is only read: it gives what the other gives."""

    store: Source[T_co]


@frozen
class StreamConfig(Sink[Payload]):
    """A store that is only written."""

    port: int


def stream_open(address: StreamConfig, around: Context) -> Outcome[int]:
    """Open."""
    return Success(address.port)


def stream_send(port: int, name: Key, thing: Item[Payload], how: SaveOptions) -> Outcome[Saved]:
    """Save."""
    return Success(Saved(name, port, "skipped" if how.if_exists == "skip" else "written", 0))


def stream_stat(port: int, name: Key) -> Outcome[Stat]:
    """Stat."""
    return Success(Stat("file", port, None))


STREAM = Backend(
    name="stream",
    config=StreamConfig,
    reach=Reach.NETWORK,
    open=stream_open,
    close=print,
    save=stream_send,
    stat=stream_stat,
)


@frozen
class QoiOptions:
    """Options of the format."""

    alpha: bool = True


def qoi_encode(thing: Item[Payload], how: object) -> Outcome[Encoded]:
    """Encode."""
    alpha = isinstance(how, QoiOptions) and how.alpha
    return Success(Encoded((b"qoif", bytes([alpha])), 5, thing.metadata.present()))


def qoi_decode(blob: Readable, bounds: Limits) -> Outcome[Decoded[HostArray]]:
    """Decode."""
    raise NotImplementedError(blob.size, bounds.max_bytes)


def qoi_open(blob: Readable, bounds: Limits) -> Outcome[Decoded[LazyArray]]:
    """Open lazily."""
    raise NotImplementedError(blob.size, bounds.max_bytes)


QOI: Codec[HostArray] = Codec(
    format=FileFormat("qoi", (".qoi",)),
    encode=qoi_encode,
    decode=qoi_decode,
    open=qoi_open,
    options=QoiOptions,
)


def text_decode(blob: Readable, bounds: Limits) -> Outcome[Decoded[Json]]:
    """Decode to what is no array."""
    return Success(Decoded({"size": blob.size}, Metadata(axes=("x",))))


TEXT = FileFormat[Json]("text", (".txt",))
TEXT_CODEC = Codec(format=TEXT, encode=qoi_encode, decode=text_decode, open=None)
assert_type(TEXT_CODEC, Codec[Json])


class MlxArray:
    """An array of a third party's framework."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return (1,)

    @property
    def dtype(self) -> str:
        """The element type."""
        return "float32"

    def __dlpack__(self, *, stream: int | None = None) -> object:
        """Hand over."""
        return stream


def is_mlx(thing: object) -> bool:
    """Own."""
    return isinstance(thing, MlxArray)


def mlx_to_host(thing: MlxArray, how: Transfer) -> Outcome[HostArray]:
    """Bring to the host."""
    raise NotImplementedError(thing, how)


def mlx_from_host(thing: HostArray, how: Transfer) -> Outcome[MlxArray]:
    """Bring from the host."""
    raise NotImplementedError(thing, how)


MLX = Framework(name="mlx", owns=is_mlx, to_host=mlx_to_host, from_host=mlx_from_host)
assert_type(MLX, Framework[MlxArray])

# Registered together, and one by one.
registry = Registry.of(STORE, CAMERA, STREAM, QOI, TEXT_CODEC, MLX)
assert_type(registry, Outcome[Registry])
assert_type(Registry.of(STORE), Outcome[Registry])
assert_type(Registry.of().unwrap().extended(QOI, MLX), Outcome[Registry])

# Used as our own are.
sqlite, camera, stream = SqliteConfig("db"), CameraConfig(1), StreamConfig(2)
disk, zarr = DiskConfig(root="plate"), ZarrConfig(root="plate.zarr")
assert_type(load(camera), Load[HostArray])
assert_type(load(ReadOnlyConfig(camera)), Load[HostArray])
assert_type(load(ReadOnlyConfig(disk), format=QOI.format), Load[HostArray])
compose(load(ReadOnlyConfig(zarr)), save(zarr))
assert_type(convert(to=MLX), Convert[MlxArray])
assert_type(compose(load(sqlite), convert(to=MLX), save(zarr)), Pipeline[KeyLike, Saved])
assert_type(compose(load(camera), save(stream)), Pipeline[KeyLike, Saved])
assert_type(compose(load(disk, format=TEXT), save(stream)), Pipeline[KeyLike, Saved])
assert_type(load(disk, format=QOI.format), Load[HostArray])


def first(image: MlxArray) -> MlxArray:
    """Take and give the framework's own arrays."""
    return image


def as_any(image: Array) -> Json:
    """Take an array of any framework."""
    return image.shape


compose(load(sqlite), convert(to=MLX), apply(first), rename(suffix=""), save(zarr))
compose(load(sqlite), convert(to=MLX), apply(as_any), save(disk))

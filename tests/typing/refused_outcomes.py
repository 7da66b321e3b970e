"""Wrong uses of outcomes, errors and records that must be refused."""

from typing import assert_never

from polystore import (
    AlreadyExists,
    BackendNotRegistered,
    ByteStore,
    Codec,
    Corrupt,
    Decoded,
    DiskConfig,
    DuplicateRecord,
    Encoded,
    Failure,
    FileFormat,
    Framework,
    FunctionFailed,
    HostArray,
    InvalidKey,
    InvalidSpec,
    Item,
    Json,
    Key,
    Limits,
    LockTimeout,
    Lossy,
    MissingDependency,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    Outcome,
    Payload,
    PermissionDenied,
    PluginFailed,
    Reach,
    Readable,
    ReadOnly,
    Registry,
    StorageError,
    Success,
    Transfer,
    Unavailable,
    Unexpected,
    UnknownFormat,
    UnknownFramework,
    UnsupportedOperation,
    UnsupportedPayload,
    and_then,
    catch,
    fold,
    guard,
    parse_key,
)


def retry(error: StorageError) -> bool:
    """Leave one error out: `TooLarge`."""
    match error:
        case LockTimeout() | Unavailable():
            return True
        case MissingDependency() | Unexpected() | FunctionFailed() | InvalidSpec():
            return False
        case (
            NotFound()
            | AlreadyExists()
            | InvalidKey()
            | NotAFile()
            | NotADirectory()
            | UnknownFormat()
            | UnknownFramework()
            | UnsupportedPayload()
            | UnsupportedOperation()
            | Corrupt()
            | Lossy()
            | ReadOnly()
            | PermissionDenied()
            | NoSpace()
            | BackendNotRegistered()
            | DuplicateRecord()
            | PluginFailed()
        ):
            return False
        case _:
            assert_never(error)  # refused


key = parse_key("A01.tif")
path: int = key.unwrap()  # refused
name: str = key.failure()  # refused
length: Outcome[str] = key.map(len)  # refused
number: str = key.map(len).value_or(0)  # refused
folded: int = fold(key, str.upper, str)  # refused
fold(key, lambda found: found.shape, str)  # refused
and_then(key, len)  # refused
key.failure().traceback  # refused
raw: Key = "A01.tif"  # refused


def not_a_number(error: ValueError) -> StorageError:
    """Give the error that an exception becomes."""
    return Corrupt("", None, str(error), "Write a number.")


guarded: Outcome[str] = guard(lambda: int("3"), catch(ValueError, not_a_number))  # refused
catch(KeyError, not_a_number)  # refused
catch(3, not_a_number)  # refused
failed: Outcome[int] = Failure("no")  # refused
NotFound("a", None, "No.", "See.").key = "b"  # refused
NotFound("a", None, "No.")  # refused


def opens(config: DiskConfig) -> Outcome[int]:
    """Open."""
    return Success(len(config.root))


def closes(handle: int) -> None:
    """Close."""
    print(handle)


def closes_text(handle: str) -> None:
    """Close a handle of another type."""
    print(handle)


def encodes(item: Item[Payload], options: object) -> Outcome[Encoded]:
    """Encode."""
    return Success(Encoded((), len(item.key) if options is None else 0))


def decodes(source: Readable, limits: Limits) -> Outcome[Decoded[Json]]:
    """Decode to JSON."""
    return Success(Decoded(source.size + limits.max_bytes))


def to_host(array: object, transfer: Transfer) -> Outcome[HostArray]:
    """Bring to the host."""
    raise NotImplementedError(array, transfer)


def owns(value: object) -> bool:
    """Own."""
    return value is None


QOI: FileFormat[HostArray] = FileFormat("qoi", (".qoi",))
IMAGES: Codec[HostArray] = Codec(QOI, encodes, decodes, None)  # refused
ByteStore(name="x", config=DiskConfig, open=opens, close=closes)  # refused
ByteStore(name="x", config=DiskConfig, reach="machine", open=opens, close=closes)  # refused
ByteStore(name="x", config=DiskConfig, reach=Reach.MACHINE, open=closes, close=closes)  # refused
Framework("mlx", owns, to_host, owns)  # refused
Registry.of(DiskConfig)  # refused
Registry.of(QOI)  # refused
ByteStore("x", DiskConfig, Reach.MACHINE, opens, closes)  # refused

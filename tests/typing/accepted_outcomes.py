"""Outcomes read with their types kept, and a match over the errors that is exhaustive."""

from typing import assert_never, assert_type

from polystore import (
    AlreadyExists,
    BackendNotRegistered,
    Corrupt,
    DuplicateRecord,
    FunctionFailed,
    HostArray,
    InvalidKey,
    InvalidSpec,
    Item,
    Key,
    LockTimeout,
    Lossy,
    MissingDependency,
    NoSpace,
    NotADirectory,
    NotAFile,
    NotFound,
    Outcome,
    PermissionDenied,
    PluginFailed,
    ReadOnly,
    StorageError,
    TooLarge,
    Unavailable,
    Unexpected,
    UnknownFormat,
    UnknownFramework,
    UnsupportedOperation,
    UnsupportedPayload,
    ZarrConfig,
    and_then,
    catch,
    fold,
    guard,
    is_successful,
    load,
    parse_key,
    unwrap_or_raise,
)

outcome = load(ZarrConfig(root="plate.zarr"))("A01")
assert_type(outcome, Outcome[Item[HostArray]])
if is_successful(outcome):
    assert_type(outcome.unwrap(), Item[HostArray])
    assert_type(outcome.unwrap().payload, HostArray)
else:
    assert_type(outcome.failure(), StorageError)
assert_type(outcome.map(lambda item: item.key), Outcome[str])
assert_type(outcome.map(lambda item: item.payload.nbytes).value_or(0), int)
assert_type(fold(outcome, lambda item: item.payload.ndim, lambda error: len(error.advice)), int)
assert_type(fold(outcome, lambda item: item.key, str), str)
assert_type(and_then(outcome, lambda item: parse_key(item.key)), Outcome[Key])
assert_type(unwrap_or_raise(outcome), Item[HostArray])


def not_a_number(error: ValueError) -> StorageError:
    """Give the error that an exception becomes."""
    return Corrupt("", None, str(error), "Write a number.")


assert_type(guard(lambda: int("3"), catch(ValueError, not_a_number)), Outcome[int])


def retry(error: StorageError) -> bool:
    """Match over every error: each branch narrows, and nothing is left for `assert_never`."""
    match error:
        case LockTimeout() | Unavailable():
            return True
        case MissingDependency():
            return fold(parse_key(error.package), bool, retry)
        case Unexpected() | FunctionFailed():
            return bool(error.traceback)
        case InvalidSpec():
            return bool(error.where)
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
            | TooLarge()
            | BackendNotRegistered()
            | DuplicateRecord()
            | PluginFailed()
        ):
            return False
        case _:
            assert_never(error)

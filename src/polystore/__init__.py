"""Move arrays between stores and frameworks, as typed values: nothing raises, nothing is lost.

>>> from polystore import DiskConfig, ZarrConfig, compose, convert, load, save
>>> disk, zarr = DiskConfig(root="plate"), ZarrConfig(root="plate.zarr")
>>> pipeline = compose(load(disk), convert(to="jax"), save(zarr))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polystore.batch import (
        Report,
        collect,
        map_keys,
    )
    from polystore.configs import (
        NPY,
        PNG,
        TIFF,
        DiskConfig,
        MemoryConfig,
        PngOptions,
        TiffOptions,
        ZarrConfig,
    )
    from polystore.core.errors import (
        AlreadyExists,
        BackendNotRegistered,
        Corrupt,
        DuplicateRecord,
        FunctionFailed,
        InvalidKey,
        InvalidSpec,
        LockTimeout,
        Lossy,
        MissingDependency,
        NoSpace,
        NotADirectory,
        NotAFile,
        NotFound,
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
    )
    from polystore.core.item import (
        Event,
        Item,
        Metadata,
        Saved,
    )
    from polystore.core.key import (
        Key,
        KeyLike,
        parse_key,
    )
    from polystore.core.outcome import (
        Catch,
        Failure,
        Outcome,
        StorageFailure,
        Success,
        and_then,
        catch,
        fold,
        guard,
        is_successful,
        unwrap_or_raise,
    )
    from polystore.core.payload import (
        Array,
        ArraySpec,
        HostArray,
        Json,
        LazyArray,
        Payload,
        Region,
        Roi,
        Rois,
        Table,
        aligned_empty,
    )
    from polystore.core.records import (
        Backend,
        Buffer,
        ByteStore,
        Casting,
        Codec,
        Context,
        Decoded,
        Encoded,
        FileFormat,
        Framework,
        IfExists,
        Limits,
        Opened,
        Page,
        Reach,
        Readable,
        SaveOptions,
        Sink,
        Source,
        Stat,
        Transfer,
    )
    from polystore.core.registry import (
        Record,
        Registry,
    )
    from polystore.core.version import (
        __version__,
    )
    from polystore.discover import (
        default_registry,
    )
    from polystore.dispatch import (
        Dispatcher,
        default_dispatcher,
        handles,
    )
    from polystore.files import (
        list_files,
        read,
        write,
    )
    from polystore.steps.apply import (
        Apply,
        apply,
    )
    from polystore.steps.compose import (
        Pipeline,
        Step,
        compose,
    )
    from polystore.steps.convert import (
        Convert,
        convert,
    )
    from polystore.steps.load import (
        Load,
        load,
    )
    from polystore.steps.rename import (
        Rename,
        rename,
    )
    from polystore.steps.save import (
        Save,
        save,
    )
    from polystore.steps.spec import (
        from_spec,
        to_spec,
    )

__all__ = [
    "AlreadyExists",
    "Apply",
    "Array",
    "ArraySpec",
    "Backend",
    "BackendNotRegistered",
    "Buffer",
    "ByteStore",
    "Casting",
    "Catch",
    "Codec",
    "Context",
    "Convert",
    "Corrupt",
    "Decoded",
    "DiskConfig",
    "Dispatcher",
    "DuplicateRecord",
    "Encoded",
    "Event",
    "Failure",
    "FileFormat",
    "Framework",
    "FunctionFailed",
    "HostArray",
    "IfExists",
    "InvalidKey",
    "InvalidSpec",
    "Item",
    "Json",
    "Key",
    "KeyLike",
    "LazyArray",
    "Limits",
    "Load",
    "LockTimeout",
    "Lossy",
    "MemoryConfig",
    "Metadata",
    "MissingDependency",
    "NPY",
    "NoSpace",
    "NotADirectory",
    "NotAFile",
    "NotFound",
    "Opened",
    "Outcome",
    "PNG",
    "Page",
    "Payload",
    "PermissionDenied",
    "Pipeline",
    "PluginFailed",
    "PngOptions",
    "Reach",
    "ReadOnly",
    "Readable",
    "Record",
    "Region",
    "Registry",
    "Rename",
    "Report",
    "Roi",
    "Rois",
    "Save",
    "SaveOptions",
    "Saved",
    "Sink",
    "Source",
    "Stat",
    "Step",
    "StorageError",
    "StorageFailure",
    "Success",
    "TIFF",
    "Table",
    "TiffOptions",
    "TooLarge",
    "Transfer",
    "Unavailable",
    "Unexpected",
    "UnknownFormat",
    "UnknownFramework",
    "UnsupportedOperation",
    "UnsupportedPayload",
    "ZarrConfig",
    "__version__",
    "aligned_empty",
    "and_then",
    "apply",
    "catch",
    "collect",
    "compose",
    "convert",
    "default_dispatcher",
    "default_registry",
    "fold",
    "from_spec",
    "guard",
    "handles",
    "is_successful",
    "list_files",
    "load",
    "map_keys",
    "parse_key",
    "read",
    "rename",
    "save",
    "to_spec",
    "unwrap_or_raise",
    "write",
]

# Where each name lives. A name is imported when it is first used: `import polystore` costs nothing,
# and a program pays for what it takes.
_HOMES = {
    "polystore.batch": ("Report", "collect", "map_keys"),
    "polystore.configs": (
        "NPY",
        "PNG",
        "TIFF",
        "DiskConfig",
        "MemoryConfig",
        "PngOptions",
        "TiffOptions",
        "ZarrConfig",
    ),
    "polystore.core.errors": (
        "AlreadyExists",
        "BackendNotRegistered",
        "Corrupt",
        "DuplicateRecord",
        "FunctionFailed",
        "InvalidKey",
        "InvalidSpec",
        "LockTimeout",
        "Lossy",
        "MissingDependency",
        "NoSpace",
        "NotADirectory",
        "NotAFile",
        "NotFound",
        "PermissionDenied",
        "PluginFailed",
        "ReadOnly",
        "StorageError",
        "TooLarge",
        "Unavailable",
        "Unexpected",
        "UnknownFormat",
        "UnknownFramework",
        "UnsupportedOperation",
        "UnsupportedPayload",
    ),
    "polystore.core.item": ("Event", "Item", "Metadata", "Saved"),
    "polystore.core.key": ("Key", "KeyLike", "parse_key"),
    "polystore.core.outcome": (
        "Catch",
        "Failure",
        "Outcome",
        "StorageFailure",
        "Success",
        "and_then",
        "catch",
        "fold",
        "guard",
        "is_successful",
        "unwrap_or_raise",
    ),
    "polystore.core.payload": (
        "Array",
        "ArraySpec",
        "HostArray",
        "Json",
        "LazyArray",
        "Payload",
        "Region",
        "Roi",
        "Rois",
        "Table",
        "aligned_empty",
    ),
    "polystore.core.records": (
        "Backend",
        "Buffer",
        "ByteStore",
        "Casting",
        "Codec",
        "Context",
        "Decoded",
        "Encoded",
        "FileFormat",
        "Framework",
        "IfExists",
        "Limits",
        "Opened",
        "Page",
        "Reach",
        "Readable",
        "SaveOptions",
        "Sink",
        "Source",
        "Stat",
        "Transfer",
    ),
    "polystore.core.registry": ("Record", "Registry"),
    "polystore.core.version": ("__version__",),
    "polystore.discover": ("default_registry",),
    "polystore.dispatch": ("Dispatcher", "default_dispatcher", "handles"),
    "polystore.files": ("list_files", "read", "write"),
    "polystore.steps.apply": ("Apply", "apply"),
    "polystore.steps.compose": ("Pipeline", "Step", "compose"),
    "polystore.steps.convert": ("Convert", "convert"),
    "polystore.steps.load": ("Load", "load"),
    "polystore.steps.rename": ("Rename", "rename"),
    "polystore.steps.save": ("Save", "save"),
    "polystore.steps.spec": ("from_spec", "to_spec"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            value: object = getattr(import_module(module), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'polystore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

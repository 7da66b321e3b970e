"""The public names: which they are, that they are found, documented and typed."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import polystore

SOURCE = Path(polystore.__file__).parent

PUBLIC_NAMES = """
AlreadyExists Apply Array ArraySpec BMP Backend BackendNotRegistered Blosc Buffer ByteStore CSV
CUPY_ARRAY Casting Catch Child ChunkStrategy Codec Compressor Context Convert Corrupt Decoded
DiskConfig Dispatcher DuplicateRecord Ellipse Encoded Event Failure FileFormat FileManager
Framework FunctionFailed Gzip HostArray IMAGE_FORMATS IfExists InvalidKey InvalidSpec Item
JAX_ARRAY JPEG JSON JpegOptions Json Key KeyLike LazyArray Limits Line Load LockTimeout Lossy
MapBlocks Mask MemoryConfig Metadata MissingDependency NPY NPZ NoSpace NotADirectory NotAFile
NotFound NpzOptions OME_TIFF ObjectConfig OmeOptions Opened Outcome PNG PT Page Payload
PermissionDenied Pipeline Place PlateNames PluginFailed PngOptions Points Polygon Polyline
Position Progress ROI Reach ReadOnly ReadOnlyConfig Readable Record Rectangle Region RegionLike
Registry Rename Report Roi Rois Route RouteConfig SAFETENSORS Save SaveOptions Saved Shape Sink
Source Stat Step StorageError StorageFailure Store Success TEXT TF TIFF Table TiffOptions TooLarge
Transfer Tree Unavailable Unexpected UnknownFormat UnknownFramework UnsupportedOperation
UnsupportedPayload VirtualConfig VirtualItem ZarrConfig ZarrLayout Zstd __version__ aligned_empty
and_then apply catch collect collect_dirs_and_files compose convert copy create_symlink
default_dispatcher default_registry delete delete_tree ensure_directory exists find_file fold
from_spec guard handles is_dir is_file is_host_array is_successful is_symlink iter_files list_dir
list_files list_image_files load load_stack locked map_blocks map_keys mirror move parse_key read
readable_of rename save stat to_spec unwrap_or_raise update watched write
""".split()

OF_OTHERS = {"Buffer", "Failure", "Success", "is_successful"}
"""Names that are another package's, documented there."""


def parsed(module: str) -> ast.Module:
    path = SOURCE.parent / module.replace(".", "/")
    return ast.parse(
        (path.with_suffix(".py") if not path.is_dir() else path / "__init__.py").read_text()
    )


def lazy_table() -> dict[str, set[str]]:
    """Give the table `_HOMES` of the package, from module to names."""
    for node in parsed("polystore").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            homes: dict[str, tuple[str, ...]] = ast.literal_eval(node.value)
            return {module: set(names) for module, names in homes.items()}
    raise AssertionError("polystore/__init__.py has no _HOMES")


HOMES = {name: module for module, names in lazy_table().items() for name in names}


def imported_for_checkers() -> dict[str, set[str]]:
    """Give what the package imports for type checkers, from module to names."""
    (block,) = (node for node in parsed("polystore").body if isinstance(node, ast.If))
    found = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {node.module or "": {alias.name for alias in node.names} for node in found}


def definitions(name: str) -> list[ast.stmt]:
    """Give the statements of the name's home that define it: all overloads of a function."""
    return [node for node in parsed(HOMES[name]).body if name in _bound(node)]


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.AnnAssign):
        return [ast.unparse(node.target)]
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets]
    return []


def docstring(name: str) -> str:
    """Give the docstring of a function or class, or the string below an assignment."""
    last = definitions(name)[-1]
    if isinstance(last, (ast.FunctionDef, ast.ClassDef)):
        return ast.get_docstring(last) or ""
    body = parsed(HOMES[name]).body
    places = [i for i, node in enumerate(body) if name in _bound(node)]
    below = body[places[-1] + 1]
    text = (
        below.value.value
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        else ""
    )
    return text if isinstance(text, str) else ""


OURS = sorted(set(PUBLIC_NAMES) - OF_OTHERS - {"__version__"})
FUNCTIONS = [name for name in OURS if isinstance(definitions(name)[-1], ast.FunctionDef)]


def test_the_public_names_are_these() -> None:
    assert sorted(polystore.__all__) == sorted(PUBLIC_NAMES)


def test_every_name_is_found_where_the_tables_say() -> None:
    assert lazy_table() == imported_for_checkers()
    assert sorted(HOMES) == sorted(polystore.__all__)
    for name, module in HOMES.items():
        assert getattr(polystore, name) is getattr(importlib.import_module(module), name)
        assert name in importlib.import_module(module).__dict__.get("__all__", [name])
    assert set(polystore.__all__) == set(dir(polystore))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        polystore.__getattr__("lode")


@pytest.mark.parametrize("name", OURS)
def test_a_public_name_says_what_it_is(name: str) -> None:
    assert len(docstring(name)) > len("To be said.")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_has_an_example(name: str) -> None:
    assert ">>> " in docstring(name)


def is_public(member: str) -> bool:
    return not member.startswith("_") or member in ("__init__", "__call__")


def signatures(node: ast.stmt) -> Iterator[ast.expr]:
    """Give every annotation that a user of the name sees."""
    if isinstance(node, ast.AnnAssign):
        yield node.annotation
    elif isinstance(node, ast.FunctionDef):
        args = node.args
        both = (args.vararg, args.kwarg)
        for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs, *(arg for arg in both if arg)]:
            if arg.annotation is not None:
                yield arg.annotation
        if node.returns is not None:
            yield node.returns
    elif isinstance(node, ast.ClassDef):
        yield from node.bases
        for member in node.body:
            if not _bound(member) or is_public(_bound(member)[0]):
                yield from signatures(member)


def names_any(annotation: ast.expr) -> bool:
    """Whether `Any` stands in an annotation, but for `NDArray[Any]`."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return names_any(ast.parse(annotation.value, mode="eval").body)
    if ast.unparse(annotation) == "NDArray[Any]":
        return False
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        return False  # what stands in it are values, texts too
    if isinstance(annotation, ast.Name) and annotation.id == "Any":
        return True
    return any(
        names_any(child)
        for child in ast.iter_child_nodes(annotation)
        if isinstance(child, ast.expr)
    )


def is_overload(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and "overload" in map(ast.unparse, node.decorator_list)


@pytest.mark.parametrize("name", OURS)
def test_a_public_signature_holds_no_any(name: str) -> None:
    found = definitions(name)
    public = [node for node in found if is_overload(node)] or found
    wrong = [ast.unparse(it) for node in public for it in signatures(node) if names_any(it)]
    assert not wrong


def test_any_is_seen_in_signatures() -> None:
    source = "def f(a: NDArray[Any], b: 'list[Any]' = [], *, c: Any) -> dict[str, Any]: ..."
    (function,) = ast.parse(source).body
    assert [names_any(it) for it in signatures(function)] == [False, True, True, True]


def imported_by(statement: str) -> set[str]:
    """Give the modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(child.stdout.split())


HEAVY = {
    "numpy",
    "torch",
    "jax",
    "zarr",
    "tifffile",
    "imagecodecs",
    "rich",
    "cattrs",
    "cattr",
    "portalocker",
}


STEPS = "disk = DiskConfig(root='a'); compose(load(disk), convert(to='jax'), save(disk))"


@pytest.mark.parametrize(
    "statement",
    [
        "import polystore",
        "from polystore import *",
        f"from polystore import DiskConfig, compose, convert, load, save; {STEPS}",
        "from polystore import DiskConfig, list_files; list_files(DiskConfig(root='none'))",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_used(statement: str) -> None:
    assert imported_by(statement) & HEAVY == set()


def test_the_import_alone_loads_no_other_module_of_ours() -> None:
    loaded = {name for name in imported_by("import polystore") if name.startswith("polystore.")}
    assert loaded == set()

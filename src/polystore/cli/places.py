"""Where a demo reads and writes: the images of a folder, and a folder for the results."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from polystore.backends.oserrors import from_os
from polystore.configs import (
    CSV,
    CUPY_ARRAY,
    JAX_ARRAY,
    JSON,
    NPZ,
    PT,
    ROI,
    SAFETENSORS,
    TEXT,
    TF,
    DiskConfig,
)
from polystore.core.errors import (
    AlreadyExists,
    NotADirectory,
    NotFound,
    StorageError,
    UnsupportedOperation,
)
from polystore.core.key import suffix_of
from polystore.core.outcome import Failure, Outcome, Success, and_then, catch, guard
from polystore.discover import default_registry
from polystore.files.listing import list_files

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Images",
    "check_results",
    "counted",
    "find_images",
    "images_among",
    "make_results",
    "no_image_in",
    "shown",
]

RESULTS = "polystore-demo"

_NO_IMAGES = frozenset(
    format.name
    for format in (CSV, CUPY_ARRAY, JAX_ARRAY, JSON, NPZ, PT, ROI, SAFETENSORS, TEXT, TF)
)
"""Formats whose files hold something else, several arrays, or one of a single framework."""


@frozen
class Images:
    """A folder, the keys of the images in it, and those of the files that are none for us."""

    disk: DiskConfig
    keys: tuple[str, ...]
    others: tuple[str, ...] = ()


def find_images(folder: Path) -> Outcome[Images]:
    """Give every file of the folder, at any depth, whose suffix a registered image format has.

    Hidden files, and files in hidden folders, are among the others, as are texts and tables.
    `NotFound` if the folder does not exist or holds no image, `NotADirectory` if it is a file; else
    the errors of `list_files`.

    >>> print(find_images(Path("/no/such/folder")).failure().message)
    The folder '/no/such/folder' does not exist.
    """
    disk = DiskConfig(root=folder)

    def sorted_out(keys: tuple[str, ...]) -> Outcome[Images]:
        images, others = images_among(keys)
        if images:
            return Success(Images(disk, images, others))
        return Failure(no_image_in(str(folder), disk, others))

    listed = list_files(disk).alt(lambda error: _about_folder(error, folder))
    return and_then(listed, sorted_out)


def images_among(keys: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give those of the keys that are images by their suffix, and the others.

    What is hidden is no image, nor are texts, tables, and files of several arrays.

    >>> images_among(["A01.tif", "notes.txt", ".A02.tif"])
    (('A01.tif',), ('notes.txt', '.A02.tif'))
    """
    suffixes = _image_suffixes()
    images: list[str] = []
    others: list[str] = []
    for key in keys:
        found = not _hidden(key) and suffix_of(key, suffixes)
        (images if found else others).append(key)
    return tuple(images), tuple(others)


def no_image_in(folder: str, config: object, others: tuple[str, ...]) -> NotFound:
    """Give the error for a folder without an image; it says what else is there."""
    found = f": only {counted(others)}" if others else ""
    message = f"The folder {folder!r} holds no image that polystore reads{found}."
    return NotFound("", config, message, f"It reads {' '.join(_image_suffixes())}.")


def _image_suffixes() -> tuple[str, ...]:
    formats = [entry.key for entry in default_registry().entries().formats]
    return tuple(
        suffix for format in formats if format.name not in _NO_IMAGES for suffix in format.suffixes
    )


def _hidden(key: str) -> bool:
    return key.startswith(".") or "/." in key


def _about_folder(error: StorageError, folder: Path) -> StorageError:
    """Say in the words of the command line what a listing says in those of configs."""
    match error:
        case NotFound():
            return NotFound(
                "",
                error.config,
                f"The folder {str(folder)!r} does not exist.",
                "Check the name, or leave it out: a small plate is then made.",
            )
        case NotADirectory():
            return _no_folder(folder)
        case _:
            return error


def _no_folder(path: Path) -> NotADirectory:
    return NotADirectory("", None, f"{str(path)!r} is a file.", "Name a folder.")


def counted(files: Iterable[str]) -> str:
    """Say how many files there are, and of which kinds, the most frequent first.

    >>> counted(["a.JPG", "b/c.jpg"])
    '2 files (.jpg)'
    >>> counted(["a.jpg", "b.jpg", "README", ".hidden.tif"])
    '4 files (2 .jpg, 1 hidden, 1 without suffix)'
    """
    kinds = Counter(_kind(file) for file in files)
    ordered = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    words = [kind if len(kinds) == 1 else f"{number} {kind}" for kind, number in ordered]
    total = kinds.total()
    return f"{total} file{'s' if total != 1 else ''} ({', '.join(words)})"


def _kind(file: str) -> str:
    if _hidden(file):
        return "hidden"
    return Path(file).suffix.lower() or "without suffix"


def check_results(wanted: Path | None, source: Path | None) -> Outcome[None]:
    """Say whether results may go to the wanted folder (`None`: a fresh `polystore-demo` here).

    `UnsupportedOperation` if that is in the folder that is read, `AlreadyExists` if it is not
    empty, `NotADirectory` if it is a file. Nothing is made yet.

    >>> check_results(Path("new"), Path("plate"))
    <Success: None>
    >>> print(check_results(Path("plate/out"), Path("plate")).failure().message)
    The results would go into the folder that is read, to 'plate/out'.
    """
    target = wanted if wanted is not None else Path(RESULTS)
    if source is not None and target.resolve().is_relative_to(source.resolve()):
        return Failure(
            UnsupportedOperation(
                "",
                None,
                f"The results would go into the folder that is read, to {str(target)!r}.",
                "Name another place for them: --output FOLDER.",
            )
        )
    if wanted is None or not wanted.exists():
        return Success(None)
    if not wanted.is_dir():
        return Failure(_no_folder(wanted))
    with os.scandir(wanted) as entries:
        return Success(None) if next(entries, None) is None else Failure(_not_empty(wanted))


def _not_empty(folder: Path) -> AlreadyExists:
    return AlreadyExists(
        "",
        None,
        f"{str(folder)!r} is not empty, and the demo replaces nothing.",
        "Name a folder that is new or empty.",
    )


def make_results(wanted: Path | None) -> Outcome[Path]:
    """Make the folder for the results: the wanted one, else `polystore-demo`, `polystore-demo-2`...

    The errors are the disk's: `PermissionDenied`, `NoSpace`, `ReadOnly`.

    >>> import tempfile
    >>> wanted = Path(tempfile.mkdtemp()) / "new"
    >>> make_results(wanted).map(lambda made: made == wanted and made.is_dir())
    <Success: True>
    """
    target = str(wanted or RESULTS)
    return guard(
        lambda: _made(wanted) if wanted is not None else _fresh(),
        catch(OSError, lambda error: from_os(error, target, None)),
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _fresh() -> Path:
    """Make the first folder of the name that does not exist, also beside another run."""
    number = 1
    while True:
        folder = Path(RESULTS if number == 1 else f"{RESULTS}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def shown(path: str | os.PathLike[str]) -> str:
    """Give a path as one would type it here: relative if it is below the current folder.

    >>> shown(Path("plate").absolute()), shown("/data")
    ('plate', '/data')
    """
    relative = os.path.relpath(path)
    return os.fspath(path) if relative.startswith("..") else relative

"""Links, and trees of them."""

from __future__ import annotations

from typing import Never, cast

from attrs import evolve

from polystore.backends.target import Target, folder_target, located
from polystore.batch import Report, collect
from polystore.configs import ReadOnlyConfig
from polystore.core.errors import InvalidKey, StorageError
from polystore.core.key import Key, KeyLike, natural_order
from polystore.core.outcome import Failure, Outcome, Success, and_then, is_successful
from polystore.core.records import IfExists, Place, Sink, Source
from polystore.dispatch import Dispatcher, default_dispatcher
from polystore.files.sameness import is_below, may_be_one
from polystore.files.target import on_folder, on_key, text_of, unchangeable
from polystore.files.walking import pages
from polystore.steps.check import mistake_in
from polystore.steps.save import Save

__all__ = ["create_symlink", "mirror"]


def create_symlink(
    store: Sink[Never],
    key: KeyLike,
    target: KeyLike | Place,
    *,
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Key]:
    """Make a link under a key, to another key of the store or to a place in another; give its key.

    What it leads to need not exist. A disk store's links lead to the stores that its config names
    (`DiskConfig(root, links_to=(other,))`), and nowhere else. `AlreadyExists` if something is at
    the key, unless told otherwise; `"replace"` replaces a file or a link, never a folder.
    A place in a `ReadOnlyConfig` is one in the store behind it, as a link changes nothing there.
    `InvalidKey` for a link to itself, which would put a circle where something was.
    `UnsupportedOperation` for stores without links.

    >>> from polystore import DiskConfig, Item, load, save
    >>> import tempfile
    >>> disk = DiskConfig(root=tempfile.mkdtemp())
    >>> save(disk)(Item("t10.json", 10)).map(lambda saved: saved.key)
    <Success: t10.json>
    >>> create_symlink(disk, "latest.json", "t10.json")
    <Success: latest.json>
    >>> load(disk)("latest.json").map(lambda item: item.payload)
    <Success: 10>
    """
    used = dispatcher or default_dispatcher()
    place = (_behind(target.store), target.key) if isinstance(target, Place) else (store, target)

    def linked(link: Target) -> Outcome[Key]:
        mistake = mistake_in(Save(cast("Sink[object]", store), if_exists))
        if mistake is not None:
            return Failure(mistake)
        leads_to = used.target(place[0], place[1]).alt(
            lambda error: located(error, text_of(place[1]), place[0])
        )
        return and_then(leads_to, lambda it: _linked(link, it, if_exists, used))

    return on_key(store, key, used, linked)


def mirror(
    source: Source[object],
    to: Sink[Never],
    *,
    folder: KeyLike = "",
    if_exists: IfExists = "fail",
    dispatcher: Dispatcher | None = None,
) -> Outcome[Report[Key]]:
    """Make, in one store, a link to each file of another, under the same keys; give a report.

    The report has the key of every link, also of those that were there already and were left under
    `"skip"`; and an error for each file that no link could be made to, and for each name in the
    source that is no key: the others are mirrored. The files are listed before the first link is
    made. A link in the source that leads to a folder is not entered.

    `NotFound` and others if the source cannot be listed at all; `InvalidKey` where the links would
    lie in what is mirrored; `UnsupportedOperation` for a store without links. If not one link
    could be made, it is the error of the first, which says how many there were.

    >>> from polystore import DiskConfig, Item, is_symlink, save
    >>> import tempfile
    >>> raw = DiskConfig(root=tempfile.mkdtemp())
    >>> view = DiskConfig(root=tempfile.mkdtemp(), links_to=(raw,))
    >>> save(raw)(Item("plate/a.json", 1)).map(lambda saved: saved.key)
    <Success: plate/a.json>
    >>> mirror(raw, view).map(lambda report: report.values)
    <Success: ('plate/a.json',)>
    >>> is_symlink(view, "plate/a.json")
    <Success: True>
    """
    used = dispatcher or default_dispatcher()

    def mirrored(at: Target) -> Outcome[Report[Key]]:
        root = folder_target(to, "", used.open).alt(lambda error: located(error, "", to))
        problem = root.map(lambda it: _refused(at, it))
        if not is_successful(problem):
            return Failure(problem.failure())
        refused = problem.unwrap()
        keys, errors = _every(at)
        if refused is not None or (errors and not keys):
            return Failure(refused or errors[0])
        links = (
            (key, create_symlink(to, key, Place(source, key), if_exists=if_exists, dispatcher=used))
            for key in keys
        )
        report = collect(links)
        if report.errors and not report.values:
            return Failure(_none_made(report.errors))
        return Success(
            Report(
                report.values,
                (*errors, *report.errors),
                (*(error.key for error in errors), *report.failed),
            )
        )

    return on_folder(source, folder, used, mirrored)


def _behind(store: Source[object]) -> Source[object]:
    """Give the store that a read-only one shows; any other as it is."""
    while isinstance(store, ReadOnlyConfig):
        store = store.inner
    return store


def _none_made(errors: tuple[StorageError, ...]) -> StorageError:
    """Give the first error of a mirror that has not one link."""
    first, count = errors[0], len(errors)
    others = f": this is the first of {count} errors" if count > 1 else ""
    return evolve(first, message=f"{first.message} No link was made{others}.")


def _linked(
    link: Target, leads_to: Target, if_exists: IfExists, dispatcher: Dispatcher
) -> Outcome[Key]:
    make = link.backend.link
    if make is None:
        return Failure(unchangeable(link, "hold links"))
    if may_be_one(link, leads_to, dispatcher):
        return Failure(
            InvalidKey(
                link.key,
                link.config,
                f"{link.key!r} would be a link to itself.",
                "Give the link another key than what it leads to.",
            )
        )
    place = Place(cast("Source[object]", leads_to.config), leads_to.key)
    return make(link.handle, link.key, place, if_exists).map(lambda _: link.key)


def _refused(source: Target, root: Target) -> StorageError | None:
    """Say why a folder cannot be mirrored in a store; `None` if it can."""
    if root.backend.link is None:
        return unchangeable(root, "hold links")
    if source.config != root.config and not is_below(root, source):
        return None
    return InvalidKey(
        source.key,
        root.config,
        "The links would lie in the folder that is mirrored.",
        "Mirror to a store whose root is elsewhere.",
    )


def _every(source: Target) -> tuple[tuple[Key, ...], tuple[StorageError, ...]]:
    """Give all keys below a folder, in natural order, and the errors that were met on the way."""
    keys: list[Key] = []
    errors: list[StorageError] = []
    for page in pages(source):
        if is_successful(page):
            keys.extend(page.unwrap())
        else:
            errors.append(page.failure())
    return tuple(sorted(keys, key=natural_order)), tuple(errors)

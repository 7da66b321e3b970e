"""The label images of an image: where they are, and the list of them that readers go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from attrs import frozen

from polystore.backends.zarr.kind import LABELS
from polystore.backends.zarr.ome.metadata import OmeVersion

__all__ = ["LabelPlace", "label_place", "with_label", "without_label"]


@frozen
class LabelPlace:
    """The key of a label image in its parts: the image that it belongs to, and its name."""

    image: str
    name: str

    @property
    def group(self) -> str:
        """The key of the group that lists the labels of the image."""
        return f"{self.image}/{LABELS}"


def label_place(key: str) -> LabelPlace | None:
    """Give whose label image a key would be; `None` if it is not the key of one.

    >>> label_place("a/img/labels/nuclei"), label_place("labels/nuclei")
    (LabelPlace(image='a/img', name='nuclei'), None)
    """
    above, _, name = key.rpartition("/")
    image, _, folder = above.rpartition("/")
    return LabelPlace(image, name) if folder == LABELS and image else None


def with_label(name: str, version: OmeVersion) -> Callable[[dict[str, object]], dict[str, object]]:
    """Give what adds a name to the attributes of a group of labels.

    >>> with_label("nuclei", "0.5")({"ome": {"version": "0.5", "labels": ["cells"]}})
    {'ome': {'version': '0.5', 'labels': ['cells', 'nuclei']}}
    """

    def change(attributes: dict[str, object]) -> dict[str, object]:
        names = _names(attributes)
        return _listed(attributes, names if name in names else [*names, name], version)

    return change


def without_label(name: str) -> Callable[[dict[str, object]], dict[str, object]]:
    """Give what takes a name out of the attributes of a group of labels.

    >>> without_label("cells")({"labels": ["cells"]})
    {'labels': []}
    """

    def change(attributes: dict[str, object]) -> dict[str, object]:
        names = _names(attributes)
        if name not in names:
            return attributes
        version: OmeVersion = "0.5" if isinstance(attributes.get("ome"), dict) else "0.4"
        return _listed(attributes, [it for it in names if it != name], version)

    return change


def _words(attributes: dict[str, object]) -> dict[str, object]:
    ome = attributes.get("ome")
    return cast("dict[str, object]", ome) if isinstance(ome, dict) else attributes


def _names(attributes: dict[str, object]) -> list[object]:
    names = _words(attributes).get(LABELS)
    return cast("list[object]", names) if isinstance(names, list) else []


def _listed(
    attributes: dict[str, object], names: list[object], version: OmeVersion
) -> dict[str, object]:
    if version == "0.4" and "ome" not in attributes:
        return {**attributes, LABELS: names}
    words = _words(attributes) if "ome" in attributes else {}
    return {**attributes, "ome": {**words, "version": words.get("version", version), LABELS: names}}

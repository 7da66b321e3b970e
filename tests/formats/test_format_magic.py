"""What bytes are, whatever they are called; and each codec says so of what is not its own."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import roifile
import safetensors.numpy
import tifffile
import torch
from bytes_source import joined, source_of
from hypothesis import given
from hypothesis import strategies as st

from polystore.core.errors import Corrupt
from polystore.core.item import Item
from polystore.core.records import Codec, Limits
from polystore.formats.bmp import BMP_CODEC
from polystore.formats.jpeg import JPEG_CODEC
from polystore.formats.magic import HEAD, content_of
from polystore.formats.npy import NPY_CODEC
from polystore.formats.npz import NPZ_CODEC
from polystore.formats.png import PNG_CODEC
from polystore.formats.pt import PT_CODEC
from polystore.formats.roi import ROI_CODEC
from polystore.formats.safetensors import SAFETENSORS_CODEC
from polystore.formats.tf import TF_HOST_CODEC
from polystore.formats.tiff import OME_TIFF_CODEC, TIFF_CODEC

ARRAYS = (NPY_CODEC, NPZ_CODEC, TIFF_CODEC, OME_TIFF_CODEC, PNG_CODEC, JPEG_CODEC, BMP_CODEC)
OTHERS = (PT_CODEC, SAFETENSORS_CODEC, TF_HOST_CODEC, ROI_CODEC)
CODECS: dict[str, Codec[object]] = {codec.format.name: codec for codec in (*ARRAYS, *OTHERS)}
"""Those whose files are told from others; any text is text, and much of it is CSV."""

WOUND = Path(__file__).parents[3] / "shared" / "data" / "cellprofiler" / "wound"

IMAGE = np.arange(64, dtype=np.uint8).reshape(8, 8)


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"")
    return stream.getvalue()


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def big_tiff() -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, IMAGE, bigtiff=True)
    return stream.getvalue()


CONTENTS: dict[str, tuple[bytes, str]] = {
    "npy": (joined(NPY_CODEC.encode(Item("x", IMAGE), None).unwrap()), "a .npy array"),
    "png": (joined(PNG_CODEC.encode(Item("x", IMAGE), None).unwrap()), "a PNG image"),
    "tiff": (joined(TIFF_CODEC.encode(Item("x", IMAGE), None).unwrap()), "a TIFF image"),
    "bigtiff": (big_tiff(), "a BigTIFF image"),
    "jpeg": (bytes(imagecodecs.jpeg_encode(IMAGE)), "a JPEG image"),
    "jpeg2000": (bytes(imagecodecs.jpeg2k_encode(IMAGE)), "a JPEG 2000"),
    "webp": (bytes(imagecodecs.webp_encode(np.stack([IMAGE] * 3, -1))), "a WebP image"),
    "bmp": (bytes(imagecodecs.bmp_encode(IMAGE)), "a BMP image"),
    "npz": (saved(partial(np.savez, a=IMAGE)), "a .npz archive"),
    "pt": (saved(partial(torch.save, torch.zeros(3))), "a PyTorch file"),
    "safetensors": (safetensors.numpy.save({"a": IMAGE}), "a safetensors file"),
    "empty safetensors": (safetensors.numpy.save({}), "a safetensors file"),
    "roi": (roifile.ImagejRoi.frompoints([[1, 2], [3, 4]]).tobytes(), "an ImageJ region"),
    "rois": (zipped("0001.roi"), "an archive of ImageJ regions"),
    "gif": (bytes(imagecodecs.gif_encode(IMAGE)), "a GIF image"),
    "zip": (zipped("a.txt"), "a ZIP archive"),
    "json": (json.dumps({"wells": 96}).encode(), "JSON text"),
    "text": ("BMI of patients, größer\n".encode(), "text"),
    "html": (b"\n<!DOCTYPE html><html>Please log in", "an HTML page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
    "empty": (b"", "empty"),
    "zeros": (bytes(1000), "zeros"),
    "noise": (b"\x01\x02\x03\xff", "of no format known here"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content_is_named(name: str) -> None:
    content, meaning = CONTENTS[name]
    assert content_of(content[:HEAD]).startswith(meaning)


OWN = {
    ("ome-tiff", "tiff"),
    ("ome-tiff", "bigtiff"),
    ("tiff", "bigtiff"),
    ("safetensors", "empty safetensors"),
    ("roi", "rois"),
}
"""What a format reads, too."""


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_a_codec_says_what_foreign_bytes_are(codec: Codec[object], name: str) -> None:
    content, meaning = CONTENTS[name]
    if name == codec.format.name or (codec.format.name, name) in OWN:
        return
    error = codec.decode(source_of(content), Limits()).failure()
    assert isinstance(error, Corrupt)
    assert error.advice
    # A format that is an archive itself says what is in one.
    both = codec.format.name in ("npz", "roi") and zipfile.is_zipfile(io.BytesIO(content))
    assert both or f"it is {meaning}" in error.message


@pytest.mark.skipif(not WOUND.exists(), reason="the shared images are not here")
def test_a_camera_jpeg_under_another_name() -> None:
    for path in sorted(WOUND.glob("*.JPG")):
        error = TIFF_CODEC.decode(source_of(path.read_bytes()), Limits()).failure()
        assert error.message == "This is no TIFF: it is a JPEG image."


@given(st.binary(max_size=2 * HEAD))
def test_any_bytes_are_something(head: bytes) -> None:
    assert content_of(head)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip))
def test_text_is_text_also_where_the_head_cuts_a_character(text: str) -> None:
    head = ("A" + text * HEAD).encode()[:HEAD]
    assert content_of(head) == "text"


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(content=st.binary(max_size=300))
def test_no_bytes_raise(codec: Codec[object], content: bytes) -> None:
    assert isinstance(codec.decode(source_of(content), Limits()).failure(), Corrupt)

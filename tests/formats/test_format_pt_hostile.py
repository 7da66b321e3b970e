"""Bytes that only look like a `.pt`: each is an error, nothing runs, nothing large is made."""

from __future__ import annotations

import io
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from bytes_source import joined, source_of
from pt_archive import (
    Call,
    Stored,
    archive,
    of,
    of_pickle,
    pickled,
    reason,
    rebuild,
    rebuilt,
    refused,
    torchs_own,
)

from polystore.core.errors import TooLarge
from polystore.core.item import Item
from polystore.core.outcome import fold, is_successful
from polystore.core.records import Limits, Readable
from polystore.formats.pt import PT_CODEC
from polystore.formats.pt.archive import DIRECTORY_MAX

PICKLE = "data.pkl"


def test_files_of_before_pytorch_1_6_say_so() -> None:
    stream = io.BytesIO()
    save = cast("Callable[..., None]", torch.save)
    save(torch.ones(2), stream, _use_new_zipfile_serialization=False)
    assert "before version 1.6" in reason(stream.getvalue())


def test_a_torchscript_archive_says_so() -> None:
    content = archive({"data.pkl": b"", "constants.pkl": b"", "code/x.py": b""})
    assert "TorchScript" in reason(content)


def test_another_protocol_of_pickle_says_so() -> None:
    assert "a pickle of protocol 4" in reason(of_pickle(pickle.dumps({}, 4)))


def test_content_of_another_kind_is_said_to_be_what_it_is() -> None:
    stream = io.BytesIO()
    np.savez(stream, a=np.ones(2))
    assert reason(stream.getvalue()).endswith("it is a .npz archive of arrays.")
    assert reason(b"\x89PNG\r\n\x1a\n").endswith("it is a PNG image.")
    assert reason(archive({"notes.txt": b"A01"})).startswith("This is no .pt file: it is a")
    assert reason(b"").endswith("it is empty.")


def test_a_claim_of_terabytes_over_a_few_bytes_is_too_large() -> None:
    for content in (
        torchs_own(torch.ones(1).expand(2**40)),
        of({"a": rebuilt(4, 0, (2**20, 2**20, 2), (0, 0, 1))}),
    ):
        tracemalloc.start()
        assert isinstance(refused(content), TooLarge)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**20


def test_the_limit_is_that_of_the_elements() -> None:
    content = joined(PT_CODEC.encode(Item("x", {"a": np.ones(8), "b": np.ones(8)}), None).unwrap())
    assert is_successful(PT_CODEC.decode(source_of(content), Limits(128)))
    assert isinstance(refused(content, Limits(127)), TooLarge)


def test_memory_between_the_elements_counts_too() -> None:
    content = torchs_own(torch.ones(1000)[::999])
    assert isinstance(refused(content, Limits(1000)), TooLarge)


def valid() -> bytes:
    return joined(PT_CODEC.encode(Item("x", {"a": np.arange(9)}), None).unwrap())


def test_compressed_records_are_refused() -> None:
    bomb = archive(
        {PICKLE: pickled(rebuilt(2**26, 0, (2**26,), (1,))), "data/0": bytes(2**28)},
        zipfile.ZIP_DEFLATED,
    )
    assert len(bomb) < 2**20
    assert "compressed" in reason(bomb)


def directory_entry(name: bytes, start: int, nbytes: int, flags: int = 0) -> bytes:
    fields = (20, 20, flags, 0, 0, 0, 0, nbytes, nbytes, len(name), 0, 0, 0, 0, 0, start)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *fields) + name


def with_directory(*entries: bytes) -> bytes:
    head = b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 0, 0, 0, 0, 100, 100, 10, 0) + b"x/data.pkl"
    content, listed = head + pickled({}).ljust(100, b"."), b"".join(entries)
    count = len(entries) % 2**16
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(listed), len(content), 0)
    return content + listed + end


def test_a_directory_that_cannot_be_true_is_refused() -> None:
    good = directory_entry(b"x/data.pkl", 0, 100)
    assert is_successful(PT_CODEC.decode(source_of(of_pickle(pickled({}))), Limits()))
    overlapping = directory_entry(b"x/data/0", 20, 100)
    assert "overlap" in reason(with_directory(good, overlapping))
    assert "overlap" in reason(with_directory(good, directory_entry(b"x/data/0", 10**6, 100)))
    assert "overlap" in reason(with_directory(directory_entry(b"x/data.pkl", 0, 10**6)))
    assert "compressed or encrypted" in reason(
        with_directory(directory_entry(b"x/data.pkl", 0, 100, flags=1))
    )
    twice = [directory_entry(b"x/data.pkl", start, 10) for start in (0, 60)]
    assert "same name" in reason(with_directory(*twice))
    many = with_directory(*[directory_entry(b"x", 0, 0)] * (DIRECTORY_MAX // 46))
    assert "directory has more than" in reason(many)
    some = with_directory(*[directory_entry(b"x", 0, 0)] * (2**20 // 46))
    assert "overlap" in reason(some)
    assert "directory has more than" in reason(some, Limits(2**20))


def test_elements_that_changed_are_noticed() -> None:
    content = bytearray(valid())
    content[content.index(np.arange(9).tobytes()) + 3] ^= 1
    assert "checksum" in reason(bytes(content))


def test_one_storage_of_two_widths_is_read() -> None:
    narrow, wide = (
        Call(rebuild(3), (Stored(torch.UntypedStorage, "0", 16), 1, (2,), (1,), False, {}, dtype))
        for dtype in (torch.uint16, torch.uint32)
    )
    content = of({"narrow": narrow, "wide": wide}, np.arange(8, dtype=np.uint16).tobytes())
    found = cast(
        "dict[str, torch.Tensor]",
        PT_CODEC.decode(source_of(content), Limits()).unwrap().payload,
    )
    assert [int(number) for number in found["narrow"]] == [1, 2]
    assert [int(number) for number in found["wide"]] == [2 + (3 << 16), 4 + (5 << 16)]


def test_files_without_checksums_are_read() -> None:
    options = cast("Callable[[bool], None]", torch.serialization.set_crc32_options)
    options(False)
    try:
        content = torchs_own(torch.arange(9))
    finally:
        options(True)
    assert is_successful(PT_CODEC.decode(source_of(content), Limits()))


def test_an_error_of_the_store_passes_through() -> None:
    content = valid()
    for allowed in range(12):
        left = [allowed]

        def read_into(offset: int, buffer: memoryview, /, left: list[int] = left) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError("the network is gone")
            part = content[offset : offset + len(buffer)]
            buffer[: len(part)] = part
            return len(part)

        source = Readable(len(content), read_into, lambda: None)
        try:
            assert is_successful(PT_CODEC.decode(source, Limits()))
        except OSError as error:
            assert str(error) == "the network is gone"  # noqa: PT017 - or it succeeded
        else:
            assert left[0] >= 0


def test_no_flipped_or_cut_file_does_harm() -> None:
    random_bytes = random.Random(5)  # noqa: S311 - the same every time
    options = cast("Callable[[bool], None]", torch.serialization.set_crc32_options)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    files = [valid(), torchs_own(torch.ones(2, 3).T)]
    options(False)  # so that the flips get past the checksums
    try:
        files += [torchs_own(model.state_dict()), torchs_own(torch.ones(3, dtype=torch.uint16))]
    finally:
        options(True)
    seen: set[str] = set()
    for _ in range(3000):
        content = bytearray(random_bytes.choice(files))
        if random_bytes.random() < 0.1:
            del content[random_bytes.randrange(len(content)) :]
        # Most bytes are padding ("Z"), which means nothing.
        places = [place for place, byte in enumerate(content) if byte != ord("Z")] or [0]
        for _ in range(random_bytes.randrange(1, 4)):
            if content:
                content[random_bytes.choice(places)] = random_bytes.randrange(256)
        outcome = PT_CODEC.decode(source_of(bytes(content)), Limits(2**24))
        seen.add(fold(outcome, lambda it: type(it).__name__, lambda error: type(error).__name__))
    assert seen <= {"Decoded", "Corrupt", "TooLarge"}
    assert {"Decoded", "Corrupt"} <= seen

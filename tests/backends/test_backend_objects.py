"""Object storage beyond the laws: what is asked of the server, and what its refusals become."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from object_proxy import counting
from object_server import BUCKET, client_options, endpoint, lacks, new_objects, raw
from zarr_processes import run

from polystore import (
    Encoded,
    IfExists,
    Item,
    Key,
    ObjectConfig,
    Readable,
    ZarrConfig,
    delete,
    list_files,
    load,
    save,
    stat,
)
from polystore.backends.bytestore import TURNS_MAX
from polystore.backends.objects import OBJECTS
from polystore.backends.objects.reading import FIRST
from polystore.core.errors import (
    InvalidKey,
    InvalidSpec,
    NotADirectory,
    NotAFile,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from polystore.core.outcome import Outcome

pytestmark = pytest.mark.skipif(bool(lacks()), reason=lacks())

KEY = Key("a/b.bin")
LARGE = 9 * 2**20


def put(
    config: ObjectConfig, content: bytes, if_exists: IfExists = "fail", nbytes: int | None = None
) -> Outcome[bool]:
    assert OBJECTS.put is not None
    parts = (content[start : start + 3_000_001] for start in range(0, len(content), 3_000_001))
    encoded = Encoded(parts, len(content) if nbytes is None else nbytes)
    return OBJECTS.put(OBJECTS.open(config).unwrap(), KEY, encoded, if_exists)


def got(config: ObjectConfig) -> Readable:
    assert OBJECTS.get is not None
    return OBJECTS.get(OBJECTS.open(config).unwrap(), KEY).unwrap()


def read(source: Readable, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    return bytes(buffer[: source.read_into(offset, memoryview(buffer))])


def content_of(length: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(length)


def every_call(config: ObjectConfig) -> Iterator[Outcome[object]]:
    yield load(config)("a.json")
    yield save(config)(Item("a.json", 1))
    yield stat(config, "a.json")
    yield list_files(config)
    yield delete(config, "a.json")


@pytest.mark.parametrize("if_exists", ["fail", "replace"])
def test_large_content_comes_back_whole(if_exists: IfExists) -> None:
    config, whole = new_objects(), content_of(LARGE)
    assert put(config, whole, if_exists).unwrap()
    assert read(got(config), 0, LARGE + 1) == whole


@pytest.mark.parametrize("if_exists", ["fail", "replace"])
@pytest.mark.parametrize("length", [10, LARGE])
def test_less_than_announced_is_not_written(if_exists: IfExists, length: int) -> None:
    config = new_objects()
    with pytest.raises(ValueError, match="announced"):
        put(config, content_of(length), if_exists, length + 1)
    assert list_files(config).unwrap() == ()


def test_a_part_of_a_large_object_does_not_fetch_the_whole() -> None:
    config, whole = new_objects(), content_of(LARGE)
    put(config, whole).unwrap()
    with counting(endpoint()) as counted:
        through = ObjectConfig(config.url, {**client_options(), "endpoint": counted.address})
        source = got(through)
        assert read(source, LARGE - 1000, 5000) == whole[-1000:]
        assert len(counted.asked) == 2
        assert sum(counted.answered) < FIRST + 1000 + 5000


def test_a_small_object_is_one_request() -> None:
    config = new_objects()
    save(config)(Item("a.npy", np.arange(1000))).unwrap()
    with counting(endpoint()) as counted:
        through = ObjectConfig(config.url, {**client_options(), "endpoint": counted.address})
        assert load(through)("a.npy").unwrap().payload is not None
        assert len(counted.asked) == 1


def test_an_array_is_read_lazily_by_parts() -> None:
    config, array = new_objects(), np.arange(2_500_000).reshape(2500, 1000)
    save(config)(Item("a.npy", array)).unwrap()
    with counting(endpoint()) as counted:
        through = ObjectConfig(config.url, {**client_options(), "endpoint": counted.address})
        lazy = load(through, lazy=True)("a.npy").unwrap().payload
        part = lazy.read((slice(2000, 2003), slice(0, 1000))).unwrap()
        assert np.array_equal(part, array[2000:2003])
        assert sum(counted.answered) < array.nbytes / 10


@pytest.mark.parametrize("change", ["replace", "delete"])
def test_what_changed_since_it_was_opened_is_never_a_mixture(change: str) -> None:
    config, old = new_objects(), content_of(FIRST * 3)
    put(config, old).unwrap()
    source = got(config)
    if change == "replace":
        put(config, content_of(FIRST * 3, seed=1), "replace").unwrap()
    else:
        delete(config, KEY).unwrap()
    assert read(source, 5, 100) == old[5:105]  # the beginning came when it was opened
    with pytest.raises(OSError, match="replaced or deleted") as caught:
        read(source, 0, len(old))
    assert caught.value.errno == errno.ESTALE


@pytest.mark.parametrize("key", ["a.npy", "a.tif"])
def test_what_is_replaced_while_it_is_loaded_is_loaded_anew(key: str) -> None:
    config, written = new_objects(), list[int]()

    def write(number: int) -> None:
        written.append(number)
        image = np.full((700, 700), number, np.uint16)
        save(config, if_exists="replace")(Item(key, image)).unwrap()

    def replace(request: bytes) -> None:
        if b"if-match" in request.lower() and len(written) < TURNS_MAX:
            write(len(written))

    write(0)
    with counting(endpoint(), replace) as counted:
        through = ObjectConfig(config.url, {**client_options(), "endpoint": counted.address})
        assert np.all(load(through)(key).unwrap().payload == TURNS_MAX - 1)
        written.clear()
        error = load(through)(key).failure()
    assert isinstance(error, Unavailable)
    assert f"replaced {TURNS_MAX} times" in error.message


def test_what_is_replaced_while_it_is_opened_lazily_is_opened_anew() -> None:
    config, written = new_objects(), list[int]()

    def write(number: int) -> None:
        written.append(number)
        stack = np.full((5, 300, 300), number, np.uint16)
        save(config, if_exists="replace")(Item("a.tif", stack)).unwrap()

    def replace(request: bytes) -> None:
        if b"if-match" in request.lower() and len(written) < 4:
            write(len(written))

    write(0)
    with counting(endpoint(), replace) as counted:
        through = ObjectConfig(config.url, {**client_options(), "endpoint": counted.address})
        lazy = load(through, lazy=True)("a.tif").unwrap().payload
        assert np.all(lazy.read(np.s_[3:4, 0:300, 0:300]).unwrap() == 3)


def test_a_lazy_array_of_what_was_replaced_says_so() -> None:
    config, array = new_objects(), np.arange(2_500_000).reshape(2500, 1000)
    save(config)(Item("a.npy", array)).unwrap()
    lazy = load(config, lazy=True)("a.npy").unwrap().payload
    save(config, if_exists="replace")(Item("a.npy", array + 1)).unwrap()
    error = lazy.read((slice(2000, 2003), slice(0, 1000))).failure()
    assert isinstance(error, Unavailable)
    assert "replaced or deleted" in error.message


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
def test_a_server_is_found_by_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = ObjectConfig(new_objects().url)
    monkeypatch.setenv(name, endpoint())
    refused = save(config)(Item("a.json", 1)).failure()
    assert isinstance(refused, Unavailable)
    assert "AWS_ALLOW_HTTP" in refused.advice
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    there = ObjectConfig(f"{config.url}/b")  # a client is made once, of one environment
    save(there)(Item("a.json", 1)).unwrap()
    assert load(there)("a.json").unwrap().payload == 1
    array = tmp_path / "a.zarr"
    save(ZarrConfig(root=str(array)))(Item("one", np.arange(9))).unwrap()
    command = [sys.executable, "-m", "polystore", "copy", str(array), f"{there.url}/a.zarr"]
    subprocess.run(command, check=True, capture_output=True)
    zarr = ZarrConfig(root="a.zarr", store=there)
    assert np.array_equal(load(zarr)("one").unwrap().payload, np.arange(9))


def test_an_option_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "false")
    config = new_objects()
    save(config)(Item("a.json", 1)).unwrap()
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    options = {**client_options(), "allow_http": "false"}
    assert isinstance(load(ObjectConfig(config.url, options))("a.json").failure(), Unavailable)


def test_a_server_that_is_not_there_is_unavailable_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {**client_options(), "endpoint": f"http://127.0.0.1:{port}", "max_retries": "1"}
    for outcome in every_call(ObjectConfig(f"s3://{BUCKET}/x", options)):
        error = outcome.failure()
        assert isinstance(error, Unavailable)
        assert "no connection" in error.message
        assert str(port) not in str(error)


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        options = {**client_options(), "endpoint": address, "max_retries": "0", "timeout": "200ms"}
        error = load(ObjectConfig(f"s3://{BUCKET}", options))("a.json").failure()
    assert isinstance(error, Unavailable)
    assert "in time" in error.message


def test_a_missing_bucket_is_named_so() -> None:
    for outcome in every_call(ObjectConfig("s3://there-is-none/x", client_options())):
        error = outcome.failure()
        assert isinstance(error, NotFound)
        assert "bucket" in error.message


def test_what_the_server_refuses_is_permission_denied() -> None:
    config = new_objects()
    save(config)(Item("a.json", 1)).unwrap()
    nobody = ObjectConfig(config.url, {**client_options(), "skip_signature": "true"})
    error = load(nobody)("a.json").failure()
    assert isinstance(error, PermissionDenied)
    assert "credentials" in error.advice


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (ObjectConfig("file:///data"), "url"),
        (ObjectConfig("memory:///"), "url"),
        (ObjectConfig("plates"), "url"),
        (ObjectConfig("xx://plates"), "url"),
        (ObjectConfig("s3://plates", {"colour": "red"}), "options"),
        (ObjectConfig("s3://plates", {"timeout": "long"}), "options"),
        (ObjectConfig("s3://plates", {"max_retries": "many"}), "options"),
    ],
    ids=lambda it: it.url if isinstance(it, ObjectConfig) else it,
)
def test_a_config_of_nothing_is_invalid(config: ObjectConfig, where: str) -> None:
    error = load(config)("a.json").failure()
    assert isinstance(error, InvalidSpec)
    assert error.where == f"ObjectConfig.{where}"


@pytest.mark.parametrize(
    "name", ["secret_access_key", "AWS_SECRET_ACCESS_KEY", "session_token", "account_key"]
)
def test_a_secret_is_refused_and_not_shown(name: str) -> None:
    config = ObjectConfig(f"s3://{BUCKET}", {name: "hush-hush"})
    error = load(config)("a.json").failure()
    assert isinstance(error, InvalidSpec)
    assert "hush" not in str(error)


def test_a_key_below_a_file_and_a_folder_as_a_file_are_refused() -> None:
    config = new_objects()
    save(config)(Item("a/b.json", 1)).unwrap()
    assert isinstance(save(config)(Item("a/b.json/c.json", 1)).failure(), NotADirectory)
    assert stat(config, "a").unwrap().kind == "folder"
    assert isinstance(delete(config, "a").failure(), NotAFile)


def test_names_that_urls_know_are_names() -> None:
    config = ObjectConfig(f"{new_objects().url}/my plate #1+ü", client_options())
    for key in ("a%20b.json", "a b+c#d?e&f.json", "ü/日本.json"):
        save(config)(Item(key, key)).unwrap()
        assert load(config)(key).unwrap().payload == key
    assert len(list_files(config).unwrap()) == 3
    assert isinstance(save(config)(Item("a\tb.json", 1)).failure(), InvalidKey)
    assert isinstance(load(config)("a\tb.json").failure(), InvalidKey)


def test_a_folder_that_a_console_made_is_no_file() -> None:
    config = new_objects()
    prefix = f"{endpoint()}/{config.url.removeprefix('s3://')}"
    raw(f"{prefix}/marked/", b"")
    raw(f"{prefix}/marked/a.json", b"1")
    raw(f"{prefix}/empty.json", b"")
    assert list_files(config).unwrap() == ("empty.json", "marked/a.json")


def test_an_object_whose_name_is_no_key_is_told() -> None:
    config = new_objects()
    raw(f"{endpoint()}/{config.url.removeprefix('s3://')}/a//b", b"1")
    assert isinstance(list_files(config).failure(), InvalidKey)


def test_a_config_goes_to_other_processes_and_they_find_the_same() -> None:
    config = new_objects()
    save(config)(Item("a.json", 1)).unwrap()
    script = (
        "import pickle, sys; from polystore import load; "
        "config = pickle.load(sys.stdin.buffer); print(load(config)('a.json').unwrap().payload)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(config), capture_output=True, check=True
    )
    assert done.stdout == b"1\n"


def _loaded_in_a_fork(config: ObjectConfig) -> None:
    load(config)("a.json").unwrap()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        outcome: Outcome[object] = load(config)("a.json")
        os.write(writer, type(outcome.failure()).__name__.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"Unavailable"


def test_a_forked_process_is_told_instead_of_waiting_for_ever() -> None:
    config = new_objects()
    save(config)(Item("a.json", 1)).unwrap()
    # A process of its own forks: the tests' may have any threads.
    run(_loaded_in_a_fork, config)

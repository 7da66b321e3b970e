"""An S3 server of this machine, for tests: moto, in a process of its own, with sockets.

    python object_server.py

prints its port, and serves until its standard input ends.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import urllib.request
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from polystore import ObjectConfig

__all__ = ["BUCKET", "client_options", "endpoint", "lacks", "new_objects", "raw"]

BUCKET = "plates"
_numbers = count()
_PACKAGES = ("moto", "flask", "obstore")


def lacks() -> str:
    """Say which package is missing; `""` if all are there."""
    return next((f"{name} is not installed" for name in _PACKAGES if find_spec(name) is None), "")


@cache
def endpoint() -> str:
    """Start the server, once in a process that runs tests, and give its address.

    The credentials are in the environment, as with any server: other processes find them, too.
    """
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it notes each request
    )
    atexit.register(_stop, process)
    said = process.stdout.readline() if process.stdout is not None else b""
    os.environ.update(dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "tests"))
    address = f"http://127.0.0.1:{int(said)}"
    raw(f"{address}/{BUCKET}", b"")
    return address


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.communicate(timeout=30)


def raw(url: str, content: bytes | None = None) -> bytes:
    """Put content to an address, or get what is there, without any client of object storage."""
    method = "GET" if content is None else "PUT"
    request = urllib.request.Request(url, content, method=method)  # noqa: S310 - our own server
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())


def client_options() -> dict[str, str]:
    """Give the options with which a client finds the server."""
    return {"endpoint": endpoint(), "region": "us-east-1", "allow_http": "true"}


def new_objects() -> ObjectConfig:
    """Give a prefix that is empty, another at each call."""
    return ObjectConfig(f"s3://{BUCKET}/{os.getpid()}/{next(_numbers)}", client_options())


def _serve() -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    print(port, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    _serve()

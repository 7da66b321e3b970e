"""A server in front of another one that counts what goes through it."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlparse

from attrs import field, frozen

__all__ = ["Counted", "counting"]

_PIECE = 65_536


@frozen(eq=False)
class Counted:
    """The address of the server, how many bytes it answered, and how many requests it passed on."""

    address: str
    answered: list[int] = field(factory=list[int])
    asked: list[bytes] = field(factory=list[bytes])
    before: Callable[[bytes], object] | None = None


@contextmanager
def counting(address: str, before: Callable[[bytes], object] | None = None) -> Generator[Counted]:
    """Give the address of a server that passes everything on, until the end of the block.

    `before` is called with each request before it is passed on, in the thread of its connection.
    """
    target = urlparse(address)
    with socket.create_server(("127.0.0.1", 0)) as server:
        counted = Counted(f"http://127.0.0.1:{server.getsockname()[1]}", before=before)
        where = (str(target.hostname), int(target.port or 80))
        accepting = threading.Thread(target=_accept, args=(server, where, counted))
        accepting.start()
        try:
            yield counted
        finally:
            server.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(server: socket.socket, where: tuple[str, int], counted: Counted) -> None:
    passing: list[threading.Thread] = []
    ended = threading.Event()
    with suppress(OSError):  # it is shut down at the end
        while True:
            client, _ = server.accept()
            work = (client, where, counted, ended)
            passing.append(threading.Thread(target=_pass_on, args=work))
            passing[-1].start()
    ended.set()
    for thread in passing:
        thread.join()


def _pass_on(
    client: socket.socket, where: tuple[str, int], counted: Counted, ended: threading.Event
) -> None:
    with client, socket.create_connection(where) as other, suppress(OSError):
        while not ended.is_set():
            for source in select.select((client, other), (), (), 0.05)[0]:
                piece = source.recv(_PIECE)
                if not piece:
                    return
                if source is client:
                    counted.asked.append(piece)
                    if counted.before is not None:
                        counted.before(piece)
                    other.sendall(piece)
                else:
                    counted.answered.append(len(piece))
                    client.sendall(piece)

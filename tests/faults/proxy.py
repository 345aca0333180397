"""A wire between a process and a server that can be cut: bytes then stay where they are, and nobody is told."""

from __future__ import annotations

import contextlib
import socket
import threading

CHUNK = 65536


class Wire:
    """Listens on a port of its own and carries bytes to and from `port`."""

    def __init__(self, port: int):
        self._to = port
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Carry nothing any more; connections stay open, and new ones are taken but lead nowhere."""
        self._whole.clear()

    def mend(self) -> None:
        """Carry on, with what was sent meanwhile."""
        self._whole.set()

    def close(self) -> None:
        """Take no more connections; those there are end with their ends."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._whole.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
            return
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._whole.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

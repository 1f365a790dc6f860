# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A way to a server that can be cut: at a moment, or before the client's n-th piece of data."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

_PIECE = 1 << 16
# Close at once, with a reset.
_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards connections to ``target`` until it is cut; then it resets those that are open and accepts none.

    ``pieces`` counts what clients have sent, of whatever size. Threads that accept and forward belong to the network
    of the thread that made the proxy.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.pieces = 0
        self._cut_at: int | None = None
        self._hangs = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()

    def cut(self, at: int = 0) -> None:
        """Cut the way before the piece number ``at`` from now on; 0 cuts it now."""
        with self._lock:
            self.pieces, self._cut_at = 0, at
        if at == 0:
            self._cut()

    def hang(self) -> None:
        """Accept and take everything from now on, and answer nothing."""
        self._hangs = True

    def mend(self) -> None:
        """Let everything through again."""
        with self._lock:
            self._cut_at, self._hangs, self.pieces = None, False, 0
        if self._listener is None:
            self._listen()

    def close(self) -> None:
        """End it for good."""
        self._cut()

    @property
    def is_cut(self) -> bool:
        """Whether nothing goes through now."""
        return self._listener is None

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target, timeout=10)
            except OSError:
                # The server itself is away.
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                if counts and self._is_over():
                    self._cut()
                    return
                if not self._hangs:
                    target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def _is_over(self) -> bool:
        with self._lock:
            self.pieces += 1
            return self._cut_at is not None and self.pieces > self._cut_at

    def _cut(self) -> None:
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._open = self._open, set()
        if listener is not None:
            # A thread that waits in accept(2) is woken by this, not by close(2).
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for connection in connections:
            _reset(connection)


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

"""Stands between a client and a server of PostgreSQL, and cuts the connection at a commit."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

_SOCKET = ".s.PGSQL.5432"

Cut = Literal["before", "after"]


class CutConnections:
    """Passes on what is said, until it is told to cut: the next commit is not passed on ("before"), or it is
    and its answer is not ("after").
    """

    def __init__(self, server: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="studio-cut-"))
        self.cut: Cut | None = None
        self.cuts = 0
        self._server = server / _SOCKET
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / _SOCKET))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self._server))
        except OSError:
            client.close()
            return
        answering = threading.Thread(target=self._pass, args=(server, client), daemon=True)
        answering.start()
        with suppress(OSError):
            while said := client.recv(65536):
                if b"COMMIT\0" in said and self.cut is not None:
                    self._cut(said, client, server)
                    break
                server.sendall(said)
        self._end(client, server)
        answering.join()
        client.close()
        server.close()

    def _cut(self, said: bytes, client: socket.socket, server: socket.socket) -> None:
        how, self.cut = self.cut, None
        self.cuts += 1
        client.shutdown(socket.SHUT_RDWR)
        if how == "after":
            server.sendall(said)
            server.shutdown(socket.SHUT_WR)  # it ends once it has done what it was told

    @staticmethod
    def _pass(server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while said := server.recv(65536):
                with suppress(OSError):
                    client.sendall(said)

    @staticmethod
    def _end(client: socket.socket, server: socket.socket) -> None:
        for end, how in ((client, socket.SHUT_RDWR), (server, socket.SHUT_WR)):
            with suppress(OSError):
                end.shutdown(how)

"""A server of PostgreSQL in a temporary folder, run as an ordinary user: it refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg

from studio.store.upgrade import open_database

TEMPLATE: Final = "studio_template"
_USERS: Final = ("postgres", "nobody")


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL of this machine, with Debian's names or on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    return folders[-1] if folders else None if on_path is None else Path(on_path).resolve().parent


class PostgresqlServer:
    """A server with the databases of tests. Its language orders text differently from code points.

    Without `fsync` it is quick, and what it acknowledged survives kills of its processes all the same.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        found = binaries()
        assert found is not None, "PostgreSQL is not installed"
        self._binaries = found
        self._user = next((name for name in _USERS if _exists(name)), None) if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="studio-pg-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._data = self.folder / "data"
        self._settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.folder,
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "max_connections": 200,
            "shared_buffers": "32MB",
            "autovacuum": "off",
            "logging_collector": "off",
        }
        locale = ("--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8")
        self._run("initdb", "--username=studio", "--auth=trust", "--encoding=UTF8", "--no-sync", *locale)
        self.start()

    def start(self) -> None:
        """Starts the server; it recovers from what it was killed at."""
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        self._run("pg_ctl", "start", "--wait", f"--log={self.folder / 'log'}", f"--options={options}")

    def stop(self) -> None:
        """Ends the server at once and removes it."""
        self._run("pg_ctl", "stop", "--mode=immediate", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """Kills the server with all its processes, as a lost machine would be."""
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGSTOP)  # it begins no further process
        processes = (*_children(postmaster), postmaster)
        for process in processes:
            os.kill(process, signal.SIGKILL)
        while any(Path(f"/proc/{process}").exists() for process in processes):
            time.sleep(0.005)
        (self._data / "postmaster.pid").unlink()

    def url(self, database: str) -> str:
        return f"postgresql://studio@/{database}?host={self.folder}"

    def make_template(self) -> None:
        """Makes the database with nothing in it of which the others are copies."""
        self.sql(f"CREATE DATABASE {TEMPLATE}")
        root = self.folder / "root"
        open_database(root, self.url(TEMPLATE)).close()

    def new(self, template: str = TEMPLATE) -> str:
        """The URL of a new database."""
        name = f"studio_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        name = url.partition("@/")[2].partition("?")[0]
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Runs a statement outside of a transaction."""
        url = self.url(database)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command: Sequence[str] = (str(self._binaries / program), f"--pgdata={self._data}", *arguments)
        if self._user is not None:
            command = ("runuser", "-u", self._user, "--", *command)
        log = self.folder / f"{program}.out"
        with log.open("wb") as out:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/", check=False
            )
        assert done.returncode == 0 or not check, f"{program}: {log.read_text()}"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]

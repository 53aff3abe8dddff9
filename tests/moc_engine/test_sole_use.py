import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moc_engine.errors import FolderInUse
from moc_engine.sole_use import USERS, sole_use

STAY = """
import sys
from pathlib import Path
from moc_engine.sole_use import sole_use
with sole_use(Path(sys.argv[1]), "in use"):
    print("here", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _another(users: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that uses the folder until its input ends."""
    command = [sys.executable, "-c", STAY, str(users)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def test_another_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    users = tmp_path / "cache" / USERS
    with _another(users):
        with pytest.raises(FolderInUse, match=r"^in use here$"), sole_use(users, "in use here"):
            pytest.fail("two are in the folder")
        assert len(list(users.iterdir())) == 1
    with sole_use(users, "in use"):
        assert len(list(users.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_is_forgotten(tmp_path: Path) -> None:
    users = tmp_path / USERS
    with _another(users) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(list(users.iterdir())) == 1
        with sole_use(users, "in use"):
            assert len(list(users.iterdir())) == 1
    assert not users.exists()


def test_a_process_that_was_started_by_the_user_is_no_other(tmp_path: Path) -> None:
    users = tmp_path / USERS
    with sole_use(users, "in use"), _another(users):
        assert len(list(users.iterdir())) == 2
    with sole_use(users, "in use"), pytest.raises(FolderInUse), sole_use(users, "in use"):
        pytest.fail("twice in one process")
    assert not users.exists()

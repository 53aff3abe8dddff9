"""A folder of this process for memories that do not fit into memory. No torch."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import psutil


def own_folder(base: Path) -> Path:
    """The folder in `base` that belongs to this process, not made yet.

    Those of processes of this machine that have ended are removed, whatever ended them.
    """
    machine = "".join(letter for letter in socket.gethostname() if letter.isalnum() or letter in "-_")
    if base.is_dir():
        for folder in base.iterdir():
            name, _, number = folder.name.rpartition(".")
            if name == machine and number.isdecimal() and not psutil.pid_exists(int(number)):
                shutil.rmtree(folder, ignore_errors=True)
    return base / f"{machine}.{os.getpid()}"

"""Folders of memories belong to processes, and go once these have ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from moc_engine.memory.spill_folder import own_folder


def test_folders_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
    mine = own_folder(tmp_path)
    assert mine.parent == tmp_path
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = mine.with_name(f"{mine.name.rpartition('.')[0]}.{ended.pid}")
    others = [mine, tmp_path / f"elsewhere.{ended.pid}", tmp_path / "notes"]
    for folder in (left, *others):
        folder.mkdir()
        (folder / "a.safetensors").touch()
    assert own_folder(tmp_path) == mine
    assert not left.exists()
    assert all((folder / "a.safetensors").exists() for folder in others)


def test_a_folder_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    assert own_folder(tmp_path / "none").parent == tmp_path / "none"
    assert not (tmp_path / "none").exists()

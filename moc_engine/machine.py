"""What this machine offers: cores, memory, and the device that models run on. Loads torch only when asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_device() -> str:
    """ "cuda" where there is such a device, else "mps" (Apple), else "cpu"."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def cache_folder(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> Path:
    """The folder for what can be computed again: MOC_STUDIO_CACHE, or one where the system keeps such."""
    if chosen := environment.get("MOC_STUDIO_CACHE"):
        return Path(chosen)
    home = Path.home()
    if system == "win32":
        return Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local") / "moc-studio" / "cache"
    if system == "darwin":
        return home / "Library" / "Caches" / "moc-studio"
    return Path(environment.get("XDG_CACHE_HOME") or home / ".cache") / "moc-studio"


@cache
def gpu_memory() -> int | None:
    """The memory of the largest NVIDIA GPU in bytes, as its driver tells; None where there is none."""
    command = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return max(int(line) for line in said.split()) * 2**20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def main_memory() -> int:
    """The memory of this machine in bytes."""
    return int(psutil.virtual_memory().total)


def memory_bytes(device: str) -> int:
    """The memory of a device, such as "cuda:0"; that of the machine where the device shares it."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    return main_memory()

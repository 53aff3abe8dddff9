"""What this machine offers: cores, memory, and the device that models run on. Loads torch only when asked."""

from __future__ import annotations

import os

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


def memory_bytes(device: str) -> int:
    """The memory of a device, such as "cuda:0"; that of the machine where the device shares it."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    return psutil.virtual_memory().total

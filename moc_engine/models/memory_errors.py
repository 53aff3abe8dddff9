"""Tells a device that runs out of memory from other errors, for code that puts those into words."""

from __future__ import annotations

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. A CPU's allocator raises a plain `RuntimeError`."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)

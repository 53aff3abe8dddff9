"""Where kernels are tested: on the CUDA device, or on the CPU in Triton's interpreter where there is none.

`tests.conftest` imports it before anything imports triton, which then decides to interpret kernels.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
import torch

DEVICE: Final = torch.device("cuda" if torch.cuda.is_available() else "cpu")

if DEVICE.type == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"

kernel_tests: Final = [pytest.mark.gpu] if DEVICE.type == "cuda" else []
"""The marks of a module whose tests run on either."""

needs_cuda = pytest.mark.skipif(DEVICE.type == "cpu", reason="needs a CUDA device")

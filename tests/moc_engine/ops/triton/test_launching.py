"""Kernels compile for the arguments of real launches, on a machine without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("launching.py")
ROOT = Path(__file__).parents[4]


def test_kernels_compile_as_they_are_launched(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    launched = {line["name"]: line["launches"] for line in map(json.loads, done.stdout.splitlines())}
    assert launched.keys() >= {
        "routed_kernel",
        "dq_kernel",
        "dkdv_kernel",
        "best_kernel",
        "place_kernel",
        "span_lse_kernel",
    }
    assert all(launched.values())

"""The kernels compile for Hopper without spills, on a machine without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("compiling.py")
ROOT = Path(__file__).parents[4]


def test_kernels_compile_for_hopper_without_spills(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    codes = [json.loads(line) for line in done.stdout.splitlines()]
    assert codes
    assert {code["name"]: code["spilled"] for code in codes if code["spilled"]} == {}
    routed = [code for code in codes if code["name"].startswith("routed")]
    assert all(code["wgmma"] for code in routed)
    assert all(bool(code["tma"]) == ("TMA" in code["name"]) for code in routed)
    assert any(code["tma"] for code in routed)

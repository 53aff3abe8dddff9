from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from studio.doctor import examine, examine_system

ROOT = Path(__file__).parents[2]


def test_a_working_installation_is_told_so(tmp_path: Path) -> None:
    checks = {check.name: check for check in examine(tmp_path)}
    for name in ("Python", "libGL.so.1", "libEGL.so.1", "torch", "av", "H.264 encoder", "disk"):
        assert checks[name].state == "ok", checks[name]
    assert {"embedded model", "GPU"} <= checks.keys()


def test_what_is_missing_comes_with_its_remedy(tmp_path: Path) -> None:
    for check in examine(tmp_path):
        assert check.found
        if check.state == "missing":
            assert check.remedy


def test_the_system_is_checked_before_anything_is_installed(tmp_path: Path) -> None:
    assert next(examine_system(tmp_path)).name == "Python"
    bare = [sys.executable, "-I", "-S", "-c"]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from studio.doctor import main; sys.exit(main())"
    done = subprocess.run([*bare, code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")

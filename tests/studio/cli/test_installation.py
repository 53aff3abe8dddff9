from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from studio.cli.installation import (
    APT_LINE,
    examine,
    examine_library,
    examine_package,
    examine_room,
    examine_system,
)

ROOT = Path(__file__).parents[3]


def test_a_working_installation_is_told_so(tmp_path: Path) -> None:
    checks = {check.name: check for check in examine(tmp_path)}
    for name in ("Python", "libGL.so.1", "libEGL.so.1", "torch", "av", "H.264 encoder", "disk"):
        assert checks[name].state == "ok", checks[name]
    assert {"embedded model", "GPU"} <= checks.keys()


def test_a_missing_package_comes_with_its_remedy() -> None:
    check = examine_package("no-such-package", "nowhere")
    assert (check.state, check.found) == ("missing", "not installed")
    assert ".venv/bin/pip install" in check.remedy


def test_a_missing_library_comes_with_its_remedy() -> None:
    check = examine_library("libnowhere.so.1")
    assert (check.state, check.found, check.remedy) == ("missing", "not there", APT_LINE)


@pytest.mark.parametrize(
    ("raises", "remedy"),
    [
        ("ImportError('libGL.so.1: cannot open shared object file')", APT_LINE),
        ("OSError('libcudart.so.12: cannot open shared object file')", APT_LINE),
        ("ImportError('numpy is too old')", ".venv/bin/pip install"),
    ],
)
def test_a_package_that_does_not_load(tmp_path: Path, raises: str, remedy: str) -> None:
    (tmp_path / "cv2.py").write_text(f"raise {raises}")
    code = (
        f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
        "from studio.cli.installation import examine_package\n"
        "check = examine_package('opencv-python', 'cv2')\n"
        "print(check.state, check.found, check.remedy, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    state, found, told = done.stdout.strip().split("|")
    assert state == "missing"
    assert "but cannot load: " in found
    assert remedy in told


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no CUDA build")
@pytest.mark.parametrize(("free", "state"), [(1.0, "missing"), (5.0, "note"), (50.0, "ok")])
def test_room_is_told_by_the_build_of_torch(free: float, state: str) -> None:
    check = examine_room(free)
    assert check.state == state
    assert ("download.pytorch.org/whl/cpu" in check.remedy) == (state != "ok")


def test_the_system_is_checked_before_anything_is_installed() -> None:
    assert next(examine_system()).name == "Python"
    bare = [sys.executable, "-I", "-S", "-c"]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    code += "from studio.cli.installation import main; sys.exit(main())"
    done = subprocess.run([*bare, code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr

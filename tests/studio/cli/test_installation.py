from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from studio.cli.installation import (
    APT_LINE,
    examine,
    examine_compiler,
    examine_index,
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
    assert {"embedded model", "GPU", "Triton", "C++ compiler"} <= checks.keys()


def test_a_missing_compiler_is_a_note_with_what_to_install(tmp_path: Path) -> None:
    check = examine_compiler(str(tmp_path))
    assert (check.state, "apt-get install g++" in check.found) == ("note", True)
    compiler = tmp_path / Path(os.environ.get("CXX", "g++")).name
    compiler.touch()
    compiler.chmod(0o755)
    assert examine_compiler(str(tmp_path)).state == "ok"


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
    assert ("TORCH=cpu" in check.remedy) == (state != "ok")
    assert examine_room(free, cpu_build=True).state == ("missing" if free < 2 else "ok")


def test_an_index_of_torch_that_cannot_be_reached_is_told_within_seconds() -> None:
    with socket.socket() as silent:  # accepts connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/whl/cpu"
        began = time.monotonic()
        check = examine_index(url, timeout=0.2)
        assert time.monotonic() - began < 60
    assert (check.state, f"{url} cannot be reached" in check.found) == ("missing", True)
    assert "Leave out TORCH" in check.remedy
    assert examine_index("nonsense").state == "missing"


def test_an_index_of_torch_that_can_be_reached(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "index.html").touch()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        check = examine_index(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert check.state == "ok"


def test_make_checks_the_index_before_it_installs_anything(tmp_path: Path) -> None:
    command = ["make", "-n", "film", f"VENV={tmp_path / 'new'}", "TORCH=cpu", "TORCH_INDEX=http://mirror/whl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "-m studio.cli.installation http://mirror/whl/cpu" in done.stdout
    assert "--index-url http://mirror/whl/cpu" in done.stdout
    assert '"torch>=' in done.stdout
    without = [*command[:-2], "TORCH="]
    done = subprocess.run(without, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--index-url" not in done.stdout


def test_the_system_is_checked_before_anything_is_installed() -> None:
    assert next(examine_system()).name == "Python"
    bare = [sys.executable, "-I", "-S", "-c"]
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
    code += "from studio.cli.installation import main; sys.exit(main([]))"
    done = subprocess.run([*bare, code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr

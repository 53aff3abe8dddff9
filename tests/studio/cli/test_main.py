from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from studio import __version__
from studio.cli.main import main

ROOT = Path(__file__).parents[3]


def test_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"moc-studio {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["render"],
        ["train", "animatic"],
        ["routing", "--shot"],
        ["eval", "memory", "--stories", "0"],
    ],
)
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse
        code = int(end.code or 0)
    assert code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("moc-studio: ")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("command", ["render", "routing", "words", "doctor", "train", "eval"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"usage: moc-studio {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["words"], ["--help"], ["render", "missing.yaml"], ["render", "README.md", "--dry-run"]]
)
def test_what_needs_no_model_answers_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from studio.cli.main import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit:\n"
        "    pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


def lacking(modules: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command where `modules` raise what they raise where a library is missing."""
    code = (
        "import sys\n"
        "from studio.cli.main import main\n"
        "class Broken:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {modules}:\n"
        f"            raise {modules}[name]\n"
        "sys.meta_path.insert(0, Broken())\n"
        f"sys.exit(main({list(arguments)!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


NO_CV2 = "{'cv2': ImportError('libGL.so.1: cannot open shared object file')}"
NO_AV = "{'av': OSError('libavcodec.so: cannot open shared object file')}"


@pytest.mark.parametrize(
    ("modules", "says"),
    [(NO_CV2, "libGL.so.1: cannot open shared object file"), (NO_AV, "libavcodec.so: cannot open")],
)
def test_a_missing_library_is_one_clear_line(tmp_path: Path, modules: str, says: str) -> None:
    story = tmp_path / "story.yaml"
    story.write_text("shots: [{caption: a ball}]")
    done = lacking(modules, "render", str(story), "--out", str(tmp_path / "film"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"moc-studio: {says}")
    assert done.stderr.endswith("; run moc-studio doctor\n")
    assert done.stderr.count("\n") == 1


def test_what_training_lacks_is_told_with_the_pip_to_use(tmp_path: Path) -> None:
    code = (
        "import sys; from studio.cli.main import main; sys.modules['matplotlib'] = None\n"
        f"sys.exit(main(['train', 'animatic', '--out', {str(tmp_path / 'run')!r}]))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        f"moc-studio: training needs matplotlib: {sys.executable} -m pip install 'moc-studio[train]'\n",
    )


def test_a_bad_storyboard_needs_no_library(tmp_path: Path) -> None:
    story = tmp_path / "story.yaml"
    story.write_text("shots: []")
    done = lacking(NO_CV2, "render", str(story))
    assert (done.returncode, done.stderr) == (
        2,
        f"moc-studio: {story}:1: shots: at least one shot is needed\n",
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "arguments", [["words"], ["words", "--json"], ["words", "set"], ["doctor", "--json"]]
)
def test_an_output_that_is_full_is_one_clear_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "studio.cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "moc-studio: output: No space left on device\n")


def test_the_doctor_says_what_it_found(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("✓ Python") for line in lines)
    assert code == int(any(line.startswith("✗") for line in lines))


@pytest.mark.parametrize(("loaded", "frees"), [("unused", True), ("torch", False)])
def test_with_the_engine_loaded_the_process_ends_without_freeing_objects_but_tidies(
    loaded: str, frees: bool
) -> None:
    code = (
        "import atexit, sys, threading, time, types, weakref\n"
        "from studio.cli import main\n"
        "class Freed:\n"
        "    def __del__(self): print('freed')\n"
        f"sys.modules[{loaded!r}] = types.ModuleType({loaded!r})\n"
        "def command():\n"
        "    global kept, thread\n"
        "    kept = Freed()\n"
        "    weakref.finalize(kept, print, 'tidied')\n"
        "    atexit.register(print, 'ended')\n"
        "    thread = threading.Thread(target=lambda: (time.sleep(0.2), print('worked')))\n"
        "    thread.start()\n"
        "    return 3\n"
        "main.main = command\n"
        "main.run()\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert ended.stdout.split() == ["worked", "ended", "tidied", *(["freed"] if frees else [])]

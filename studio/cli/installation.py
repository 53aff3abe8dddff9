"""Checks the parts of the installation, and says how to get what is missing.

Only the standard library is imported here, so that `python -m studio.cli.installation` can check a machine
before anything is installed.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

APT_LINE: Final = "sudo apt-get install -y make python3-venv libgl1 libegl1"
_INSTALL = "make film sets it up; by hand: .venv/bin/pip install -e ."
_PACKAGES: Final = (
    ("torch", "torch"),
    ("diffusers", "diffusers"),
    ("accelerate", "accelerate"),
    ("transformers", "transformers"),
    ("safetensors", "safetensors"),
    ("skia-python", "skia"),
    ("opencv-python", "cv2"),
    ("av", "av"),
    ("pydantic", "pydantic"),
    ("PyYAML", "yaml"),
    ("rich", "rich"),
    ("gradio", "gradio"),
    ("plotly", "plotly"),
    ("SQLAlchemy", "sqlalchemy"),
)
_LOADED = ("skia", "cv2", "av", "torch")  # those that link to libraries outside Python
_FILMS_GB = 0.5  # what a day's films take
_SETUP_GB = 2.5  # a .venv with the CPU build of torch takes 2.1
_CUDA_SETUP_GB = 8.0
_CPU_BUILD = "make film TORCH=cpu"
_REACHED_WITHIN = 5.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Check:
    """One part: with `missing` the studio does not work until `remedy` is done; `note` is for information."""

    name: str
    state: Literal["ok", "note", "missing"]
    found: str
    remedy: str = ""


def examine(here: Path) -> Iterator[Check]:
    """All checks, one after the other; `here` is where films would be written."""
    yield from examine_system()
    free = shutil.disk_usage(here).free / 1e9
    yield Check(
        name="disk",
        state="ok" if free >= _FILMS_GB else "missing",
        found=f"{free:.1f} GB free",
        remedy=f"at least {_FILMS_GB:g} GB are needed",
    )
    for distribution, module in _PACKAGES:
        yield examine_package(distribution, module)
    yield _encoder()
    yield _weights()
    yield _gpu()
    yield _triton()
    yield examine_compiler()


def examine_system() -> Iterator[Check]:
    """Checks what must be there before anything is installed."""
    yield Check(name="Python", state="ok", found=platform.python_version())
    yield _venv()
    if sys.platform == "linux":
        yield examine_library("libGL.so.1")
        yield examine_library("libEGL.so.1")


def examine_room(free: float, *, cpu_build: bool = False) -> Check:
    """Whether `free` gigabytes suffice to install everything, with the CPU build of torch or PyPI's."""
    found = f"{free:.1f} GB free"
    if free < _SETUP_GB:
        remedy = f"Setting up takes {_SETUP_GB:g} GB, and that with the CPU build of torch: {_CPU_BUILD}"
        return Check(name="disk", state="missing", found=found, remedy=remedy)
    if free < _CUDA_SETUP_GB and sys.platform == "linux" and not cpu_build:
        remedy = (
            f"That is enough for the CPU build of torch: {_CPU_BUILD}. The CUDA build, which pip takes "
            f"otherwise, needs about {_CUDA_SETUP_GB:g} GB"
        )
        return Check(name="disk", state="note", found=found, remedy=remedy)
    return Check(name="disk", state="ok", found=found)


def examine_index(url: str, timeout: float = _REACHED_WITHIN) -> Check:
    """Whether an index of packages can be reached: pip would retry for minutes before it says so."""
    name = "torch index"
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/torch/", timeout=timeout):
            return Check(name=name, state="ok", found=url)
    except (OSError, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        return Check(
            name=name,
            state="missing",
            found=f"{url} cannot be reached ({reason})",
            remedy="Leave out TORCH to install the build that PyPI has, or name a mirror by TORCH_INDEX",
        )


def _venv() -> Check:
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return Check(name="venv", state="ok", found="there")
    return Check(name="venv", state="missing", found="not there", remedy=APT_LINE)


def examine_library(name: str) -> Check:
    try:
        ctypes.CDLL(name)
    except OSError:
        return Check(name=name, state="missing", found="not there", remedy=APT_LINE)
    return Check(name=name, state="ok", found="there")


def examine_package(distribution: str, module: str) -> Check:
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return Check(name=distribution, state="missing", found="not installed", remedy=_INSTALL)
    if module in _LOADED:
        try:
            importlib.import_module(module)
        except (ImportError, OSError) as error:
            return Check(
                name=distribution,
                state="missing",
                found=f"{version}, but cannot load: {error}",
                remedy=APT_LINE if ".so" in str(error) else _INSTALL,
            )
    return Check(name=distribution, state="ok", found=version)


def _encoder() -> Check:
    try:
        av = importlib.import_module("av")
    except (ImportError, OSError):
        return Check(name="H.264 encoder", state="missing", found="PyAV does not load", remedy=_INSTALL)
    if "libx264" in av.codecs_available:
        return Check(name="H.264 encoder", state="ok", found="libx264")
    return Check(
        name="H.264 encoder",
        state="missing",
        found="this PyAV was built without libx264",
        remedy=".venv/bin/pip install --force-reinstall --only-binary av av",
    )


def _weights() -> Check:
    from moc_engine.model_index import EMBEDDED
    from studio.store.model_identity import identify

    name = "embedded model"
    files = sorted(EMBEDDED.rglob("*.safetensors")) if EMBEDDED.is_dir() else []
    if not files:
        return Check(
            name=name, state="missing", found=f"no weights in {EMBEDDED}", remedy="clone or install again"
        )
    try:
        safetensors = importlib.import_module("safetensors")
        for file in files:
            with safetensors.safe_open(file, "numpy") as tensors:
                tensors.keys()
    except Exception as error:  # safetensors' own error is not an OSError
        return Check(name=name, state="missing", found=f"{error}", remedy="clone or install again")
    size = sum(file.stat().st_size for file in files) / 1e6
    return Check(name=name, state="ok", found=f"{identify(None)}, {size:.0f} MB")


def _gpu() -> Check:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError):
        return Check(name="GPU", state="note", found="torch does not load")
    if torch.cuda.is_available():
        return Check(name="GPU", state="ok", found=torch.cuda.get_device_name(0))
    return Check(name="GPU", state="note", found="no CUDA device; the embedded model does not need one")


def _triton() -> Check:
    try:
        version = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return Check(
            name="Triton", state="note", found="not installed; needed for the fast attention of GPUs"
        )
    return Check(name="Triton", state="ok", found=version)


def examine_compiler(path: str | None = None) -> Check:
    """Whether there is a C++ compiler in the folders of `path`; in those of the environment where None."""
    compiler = os.environ.get("CXX", "g++")
    found = shutil.which(compiler, path=path)
    if found is None:
        missing = f"no {compiler}; --compile needs one on a CPU (apt-get install g++)"
        return Check(name="C++ compiler", state="note", found=missing)
    return Check(name="C++ compiler", state="ok", found=found)


def main(arguments: Sequence[str]) -> int:
    """Prints on stderr what a bare machine lacks for the installation; returns 1 if something is missing.

    An argument is the index that torch is to be installed from.
    """
    free = shutil.disk_usage(Path()).free / 1e9
    checks = [*examine_system(), examine_room(free, cpu_build=any(url.endswith("/cpu") for url in arguments))]
    checks += [examine_index(url) for url in arguments]
    for check in checks:
        if check.state != "ok":
            print(f"{check.name}: {check.found}. {check.remedy}", file=sys.stderr)
    return 1 if any(check.state == "missing" for check in checks) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""VBench's own scores, by the VBench that a user has installed in an environment of its own.

It runs as a process of that environment's Python, since VBench asks for versions of torch and transformers
that this program cannot use. Only dimensions are asked for whose weights lie in VBench's cache, so that
nothing is loaded from the network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moc_engine.evaluation.vbench.dimensions import DINO_WEIGHTS, Dimension

SCRIPT: Final = Path(__file__).with_name("run_vbench.py")

FOREIGN_VARIABLES: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables of this process's Python, which must not reach the other one."""

Score = float | bool


class VBenchFailed(Exception):
    """The VBench environment could not be run; the message says why, in one line."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores within 0–1, or whether there is motion, by dimension, of each clip in the order of their names.

    `errors` has what VBench said of the dimensions that it failed at.
    """

    scores: Mapping[str, tuple[Score, ...]]
    errors: Mapping[str, str]


def measure(python: Path, clips: Path, dimensions: Sequence[Dimension], *, cache: Path, work: Path) -> Scores:
    """Has the VBench of `python` measure all clips of a folder, in the new folder `work`.

    Raises `VBenchFailed` where that Python cannot be run or has no VBench.
    """
    results, home = work / "results", work / "torch"
    results.mkdir(parents=True)
    request = work / "request.json"
    asked = {"clips": str(clips), "results": str(results), "dimensions": [each.name for each in dimensions]}
    request.write_text(json.dumps(asked), encoding="utf-8")
    _offer_dino(cache, home)
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    environment |= {"VBENCH_CACHE_DIR": str(cache.absolute()), "TORCH_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    command = [str(python), "-c", SCRIPT.read_text(encoding="utf-8"), str(request)]
    try:
        done = subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise VBenchFailed(f"{python} cannot be run: {error.strerror}") from error
    errors = results / "errors.json"
    if done.returncode or not errors.is_file():
        last = (done.stderr.strip() or f"it ended with exit code {done.returncode}").splitlines()[-1]
        raise VBenchFailed(f"{python}: {last}")
    failed = json.loads(errors.read_text(encoding="utf-8"))
    return Scores(
        scores={
            each.name: _read(results / f"{each.name}_eval_results.json", each)
            for each in dimensions
            if each.name not in failed
        },
        errors=failed,
    )


def _offer_dino(cache: Path, home: Path) -> None:
    """Puts DINO's weights where torch.hub looks for them: its own loader ignores VBench's cache."""
    weights = cache / DINO_WEIGHTS
    if not weights.is_file():
        return
    target = home / "hub" / "checkpoints" / weights.name
    target.parent.mkdir(parents=True)
    with suppress(OSError):
        target.symlink_to(weights.absolute())
        return
    shutil.copyfile(weights, target)


def _read(file: Path, dimension: Dimension) -> tuple[Score, ...]:
    """The scores of a dimension in VBench's JSON: [mean, [{"video_path": …, "video_results": …}, …]]."""
    _, clips = json.loads(file.read_text(encoding="utf-8"))[dimension.name]
    found = sorted(clips, key=lambda clip: str(clip["video_path"]))
    return tuple(
        value if isinstance(value, bool) else float(value) * dimension.scale
        for value in (clip["video_results"] for clip in found)
    )

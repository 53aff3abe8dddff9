"""Reads footage by options into a plan: found, cut, looked at, captioned if asked for. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from moc_engine.training.data.footage.captioners import find_captioner
from moc_engine.training.data.footage.clip_needs import ClipNeeds
from moc_engine.training.data.footage.cut_settings import SHORTEST, THRESHOLD
from moc_engine.training.data.footage.cuts import Cut, detect_cuts
from moc_engine.training.data.footage.folder import find_footage
from moc_engine.training.data.footage.looking import ClipLooking
from moc_engine.training.data.footage.planning import FootagePlan, plan_footage
from moc_engine.training.data.footage.problems import ProblemPolicy

Stage = Literal["check", "captions", "encode"]


@dataclass(frozen=True, kw_only=True)
class FootageProgress:
    """`done` of `total` clips, captions or shots; `text` names the one that is next."""

    stage: Stage
    done: int
    total: int
    text: str = ""


Report = Callable[[FootageProgress], None]


@dataclass(frozen=True, kw_only=True)
class FootageOptions:
    """How footage is read. None in `size` and `frames` means those that the model was trained on.

    `cut` cuts videos into shots, with the `threshold` and the `shortest` shot of `detect_cuts`. `captioner`
    names the plug-in that writes captions which are missing.
    """

    size: tuple[int, int] | None = None
    frames: int | None = None
    policy: ProblemPolicy = field(default_factory=ProblemPolicy)
    captioner: str | None = None
    cut: bool = False
    threshold: float = THRESHOLD
    shortest: float = SHORTEST


def plan_of(
    source: Path,
    needs: ClipNeeds,
    options: FootageOptions,
    *,
    kept: Path | None = None,
    report: Report = lambda progress: None,
    check: Callable[[], None] = lambda: None,
) -> FootagePlan:
    """The plan of a folder or file of footage; what was seen is kept in the folder `kept`, if given.

    `check` is called often, and ends the work by what it raises. Raises `FootageError` where there is no
    footage, `ValueError` naming an option; problems are in the plan.
    """

    def cut(file: Path) -> tuple[Cut, ...]:
        def ended(done: float, whole: float | None) -> None:
            check()

        return detect_cuts(file, threshold=options.threshold, shortest=options.shortest, report=ended)

    captioner = None
    if options.captioner is not None:
        captioner = options.captioner, find_captioner(options.captioner)
    found = find_footage(source, cut if options.cut else None)
    looking = ClipLooking(kept, captioner=captioner, check=check)

    def told(done: int, clips: int) -> None:
        report(FootageProgress(stage="check", done=done, total=clips))

    return plan_footage(found, needs, options.policy, looking, report=told)

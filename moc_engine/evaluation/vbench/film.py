"""The scores of a film's shots, and of the film: VBench's dimensions, and those of our own beside them.

No score but those across cuts compares frames of two shots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from moc_engine.clip import Frame
from moc_engine.evaluation.vbench.cast import cast_consistency
from moc_engine.evaluation.vbench.definitions import Floats, consistency, temporal_flickering
from moc_engine.evaluation.vbench.dimensions import DIMENSIONS, FLICKERING, Dimension
from moc_engine.evaluation.vbench.installed import Score, VBenchFailed, measure
from moc_engine.evaluation.vbench.optical_flow import flow_lengths, flow_smoothness, is_moving, scaled
from moc_engine.evaluation.vbench.palette import palette
from moc_engine.evaluation.vbench.shots import Shot, frame_rate, read, write

LEAST_FRAMES: Final = 3
"""Of a shot that can be measured: one frame between two others."""

OWN_BY_SHOT: Final = ("flow_smoothness", "flow_movement", "flow_moving")


@dataclass(frozen=True, kw_only=True)
class ShotScores:
    """The scores of a shot by name; none of a shot that is too short."""

    name: str
    frames: int
    vbench: Mapping[str, Score] = field(default_factory=dict)
    own: Mapping[str, Score] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FilmScores:
    """The scores of a film: of its shots, their means, and those across cuts.

    `not_measured` says of each dimension of VBench without scores what it needs.
    """

    shots: tuple[ShotScores, ...]
    vbench: Mapping[str, float]
    own: Mapping[str, float]
    across_cuts: Mapping[str, float]
    not_measured: Mapping[str, str]


def measure_film(
    shots: Sequence[Shot],
    *,
    cache: Path,
    python: Path | None = None,
    portraits: Sequence[Mapping[str, Floats]] | None = None,
) -> FilmScores:
    """Measures a film's shots; `python` is that of an environment with VBench, `cache` has its weights.

    `portraits` of the cast in the shots, if the takes are at hand, as for `cast_consistency`. Raises
    `ValueError` for a file without a video.
    """
    counted = [shot for shot in shots if shot.frames >= LEAST_FRAMES]
    flickering, own, palettes = _measured_here(counted)
    theirs, not_measured = _measured_by_vbench(counted, cache, python)
    by_dimension = {FLICKERING: flickering, **theirs}
    ordered = [each.name for each in DIMENSIONS if each.name in by_dimension]
    found = {
        shot: ShotScores(
            name=shot.name,
            frames=shot.frames,
            vbench={name: by_dimension[name][at] for name in ordered},
            own=own[at],
        )
        for at, shot in enumerate(counted)
    }
    measured = [found[shot] for shot in counted]
    return FilmScores(
        shots=tuple(found.get(shot) or ShotScores(name=shot.name, frames=shot.frames) for shot in shots),
        vbench={
            each.name: _vbench_mean(measured, each)
            for each in DIMENSIONS
            if measured and each.name in ordered
        },
        own={name: float(np.mean([shot.own[name] for shot in measured])) for name in OWN_BY_SHOT if measured},
        across_cuts=_across_cuts(palettes, portraits or ()),
        not_measured=not_measured,
    )


def _measured_here(
    shots: Sequence[Shot],
) -> tuple[tuple[Score, ...], list[dict[str, Score]], list[Floats]]:
    """Of each shot: the temporal flickering, the scores of our own, and its colours."""
    flickering, own, palettes = [], [], []
    for shot, frames in zip(shots, read(shots), strict=True):
        small: list[Frame] = []
        flickering.append(temporal_flickering(_kept_small(frames, small)))
        lengths = flow_lengths(small, frame_rate(shot.clip))
        own.append(
            {
                "flow_smoothness": flow_smoothness(small),
                "flow_movement": float(np.mean(lengths)) if lengths else 0.0,
                "flow_moving": is_moving(lengths),
            }
        )
        palettes.append(palette(small))
    return tuple(flickering), own, palettes


def _across_cuts(palettes: Sequence[Floats], portraits: Sequence[Mapping[str, Floats]]) -> dict[str, float]:
    found = {"palette_consistency": consistency(np.stack(palettes))} if len(palettes) > 1 else {}
    cast = cast_consistency(portraits)
    return found if cast is None else {"cast_consistency": cast, **found}


def _kept_small(frames: Iterator[Frame], small: list[Frame]) -> Iterator[Frame]:
    for frame in frames:
        small.append(scaled(frame))
        yield frame


def _measured_by_vbench(
    shots: Sequence[Shot], cache: Path, python: Path | None
) -> tuple[Mapping[str, tuple[Score, ...]], dict[str, str]]:
    """The scores by the user's VBench, and what the other dimensions need."""
    needs: dict[str, str] = {}
    able = []
    for each in DIMENSIONS:
        if each.name == FLICKERING:
            continue
        missing = [f"{file} in {cache}" for file in each.missing(cache)]
        environment = [] if python is not None else ["an environment with VBench (--vbench-python)"]
        if missing or environment:
            needs[each.name] = (
                f"needs {', '.join(missing + environment)}; {each.model}, licence {each.licence}"
            )
        else:
            able.append(each)
    if python is None or not able or not shots:
        return {}, needs
    with TemporaryDirectory(prefix="moc-vbench-") as folder:
        work = Path(folder)
        clips = work / "clips"
        clips.mkdir()
        write(shots, [clips / f"shot{number:05}.mp4" for number in range(len(shots))])
        try:
            found = measure(python, clips, able, cache=cache, work=work / "vbench")
        except VBenchFailed as error:
            return {}, needs | {each.name: f"VBench did not run: {error}" for each in able}
    failed = {name: f"VBench failed: {error}" for name, error in found.errors.items()}
    return found.scores, needs | failed


def _vbench_mean(shots: Sequence[ShotScores], dimension: Dimension) -> float:
    """VBench's mean over clips: of compared frames for the consistencies, of clips for the others."""
    weights = [shot.frames - 1 if dimension.per_frame else 1 for shot in shots]
    return float(np.average([shot.vbench[dimension.name] for shot in shots], weights=weights))

"""What the report examines: routers at several budgets, long absences, and one thing at a time taken away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from moc_engine.config import Router, RoutingConfig, SamplerConfig
from moc_engine.evaluation.examination import Examination
from moc_engine.evaluation.playback import Playback

Group = Literal["budget", "absence", "ablation", "retrained"]

BUDGETS: Final = (1, 2, 3, 5, 8, 16)
"""Chunks a token may attend to."""

LONG_SHOTS: Final = 32
LONG_CAST: Final = 6


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One examination of the report; `name` tells it from the others of its group.

    `model` is a folder with other weights than those the report is about.
    """

    group: Group
    name: str
    examination: Examination
    model: Path | None = None

    @property
    def title(self) -> str:
        return f"{self.group}: {self.name}"


def experiments(
    routing: RoutingConfig,
    sampler: SamplerConfig,
    *,
    stories: int,
    long_stories: int,
    retrained: Mapping[str, Path] | None = None,
) -> Iterator[Experiment]:
    """All of them, for a model whose own settings are given; `retrained` are folders of others by name.

    Some are the same examination under several names.

    Raises `ValueError` where there are no stories.
    """
    if long_stories < 1:
        raise ValueError(f"long_stories: must be 1 or more, got {long_stories}")
    usual = Examination(stories=stories, playback=Playback(routing=routing, sampler=sampler), pictures=False)
    usual = replace(usual, playback=replace(usual.playback, seed=usual.seed))
    yield from _budgets(usual)
    yield from _absences(replace(usual, stories=long_stories, shots=LONG_SHOTS, cast=LONG_CAST, tokens=4))
    yield from _ablations(usual)
    if retrained:
        yield Experiment(group="retrained", name="as it is", examination=usual)
    for name, folder in (retrained or {}).items():
        yield Experiment(group="retrained", name=name, examination=usual, model=folder)


def _budgets(usual: Examination) -> Iterator[Experiment]:
    for top_k in BUDGETS:
        for router in _choosing():
            name = f"{router}, k = {top_k}"
            yield Experiment(group="budget", name=name, examination=_with(usual, router=router, top_k=top_k))
    for router in ("dense", "own"):
        yield Experiment(group="budget", name=router, examination=_with(usual, router=router))


def _absences(usual: Examination) -> Iterator[Experiment]:
    for router in (*_choosing(), "dense", "own"):
        yield Experiment(group="absence", name=router, examination=_with(usual, router=router))


def _ablations(usual: Examination) -> Iterator[Experiment]:
    playback = usual.playback
    frames = _frames_for(playback.routing.top_k)
    changes: dict[str, Playback] = {
        "nothing": playback,
        f"chunks by frame, k = {frames}": _routed(playback, chunking="frame", top_k=frames),
        f"chunk means {_other(playback.routing.pooling)} rotation": _routed(
            playback, pooling=_other(playback.routing.pooling)
        ),
        "first appearances pinned": replace(playback, steer="pin"),
        "first appearances banned": replace(playback, steer="ban"),
        "no own-shot link": replace(playback, own_link=False),
        "no captions": replace(playback, caption_link=False),
        "no guidance": replace(playback, sampler=replace(playback.sampler, guidance=1.0)),
    }
    for level in (0.05, 0.1, 0.2, 0.4):
        sampler = replace(playback.sampler, memory_noise=level)
        changes[f"memories read at noise {level:g}"] = replace(playback, sampler=sampler)
    for name, changed in changes.items():
        yield Experiment(group="ablation", name=name, examination=replace(usual, playback=changed))


def _choosing() -> tuple[Router, ...]:
    """The routers that have a budget."""
    return ("moc", "window", "radial", "random", "packed")


def _with(usual: Examination, *, router: Router, top_k: int | None = None) -> Examination:
    playback = replace(usual.playback, router=router)
    return replace(usual, playback=playback if top_k is None else _routed(playback, top_k=top_k))


def _routed(playback: Playback, **changes: Any) -> Playback:
    return replace(playback, routing=replace(playback.routing, **changes))


def _other(pooling: str) -> str:
    return "before" if pooling == "after" else "after"


def _frames_for(tracks: int) -> int:
    """As many frames of eight slots as come nearest to the tokens of so many tracks of six frames."""
    return max(1, round(tracks * 6 / 8))

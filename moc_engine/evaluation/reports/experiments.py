"""The experiments of the report: routers at several budgets, long absences, growing stories, ablations, and
models that are read in another way than they were trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.methods import UNBUDGETED, Method, budgeted_methods
from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings

Group = Literal["budget", "absence", "outer", "ablation", "retrained", "reading", "trained", "trained-long"]

BUDGETS: Final = (1, 2, 3, 5, 8, 16)
"""Chunks that a token may attend to."""

LONG_SHOTS: Final = 32
LONG_CAST: Final = 6

GROWING_SHOTS: Final = (32, 64, 128, 256)
GROWING_CAST: Final = 8
OUTER_SHOTS: Final = 8
"""Shots that the outer loop keeps."""

READINGS: Final = {"moc": "read with MoC", "dense": "read densely"}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One evaluation of the report; `name` is unique within its group.

    `model` is a folder with other weights than those that the report is about.
    """

    group: Group
    name: str
    settings: EvaluationSettings
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
    methods: Sequence[Method] | None = None,
    retrained: Mapping[str, Path] | None = None,
    trained: Mapping[Method, Path] | None = None,
) -> Iterator[Experiment]:
    """All experiments for a model with these default settings.

    `methods` are those with a budget that are compared on its weights (None: all); `retrained` maps names to
    folders of other weights, and `trained` methods to folders of weights that were trained with them. Some
    have the same settings under several names. There are `long_stories` of 32 shots, and fewer of more.
    Raises `ValueError` without stories.
    """
    if long_stories < 1:
        raise ValueError(f"long_stories: must be 1 or more, got {long_stories}")
    base = EvaluationSettings(
        stories=stories,
        generation=GenerationSettings(routing=routing, sampler=sampler),
        pictures=False,
        costs=True,
    )
    base = replace(base, generation=replace(base.generation, seed=base.seed))
    long = replace(base, stories=long_stories, shots=LONG_SHOTS, cast=LONG_CAST, tokens=4)
    methods = budgeted_methods() if methods is None else methods
    yield from _budgets(base, methods)
    yield from _absences(long, methods)
    yield from _growing(replace(base, cast=GROWING_CAST, tokens=4), long_stories)
    yield from _ablations(base)
    yield from _readings(base, "these weights", None)
    for name, folder in (retrained or {}).items():
        yield from _readings(base, name, folder)
    if retrained:
        yield Experiment(group="retrained", name="unchanged", settings=base)
    for name, folder in (retrained or {}).items():
        yield Experiment(group="retrained", name=name, settings=base, model=folder)
    for method, folder in (trained or {}).items():
        settings = _with(base, router=method)
        yield Experiment(group="trained", name=method, settings=settings, model=folder)
    for method, folder in (trained or {}).items():
        settings = _with(long, router=method)
        yield Experiment(group="trained-long", name=method, settings=settings, model=folder)


def _budgets(base: EvaluationSettings, methods: Sequence[Method]) -> Iterator[Experiment]:
    for top_k in BUDGETS:
        for router in methods:
            name = f"{router}, k = {top_k}"
            yield Experiment(group="budget", name=name, settings=_with(base, router=router, top_k=top_k))
    for router in UNBUDGETED:
        yield Experiment(group="budget", name=router, settings=_with(base, router=router))


def _absences(base: EvaluationSettings, methods: Sequence[Method]) -> Iterator[Experiment]:
    for router in (*methods, *UNBUDGETED):
        yield Experiment(group="absence", name=router, settings=_with(base, router=router))


def _growing(base: EvaluationSettings, long_stories: int) -> Iterator[Experiment]:
    """Stories of more and more shots, with and without the outer loop; half as many where twice as long."""
    for shots in GROWING_SHOTS:
        stories = max(min(2, long_stories), long_stories * GROWING_SHOTS[0] // shots)
        sized = replace(base, stories=stories, shots=shots)
        for outer in (None, OUTER_SHOTS):
            generation = _routed(base.generation, outer_shots=outer)
            way = "all shots" if outer is None else f"the {outer} best shots"
            settings = replace(sized, generation=generation)
            yield Experiment(group="outer", name=f"{shots} shots, chunks of {way}", settings=settings)


def _readings(base: EvaluationSettings, name: str, model: Path | None) -> Iterator[Experiment]:
    """A model read with MoC's selection and densely, whichever it was trained with."""
    for method, title in READINGS.items():
        settings = _with(base, router=method)
        yield Experiment(group="reading", name=f"{name}, {title}", settings=settings, model=model)


def _ablations(base: EvaluationSettings) -> Iterator[Experiment]:
    generation = base.generation
    frames = _frames_for(generation.routing.top_k)
    changes: dict[str, GenerationSettings] = {
        "nothing": generation,
        f"chunks by frame, k = {frames}": _routed(generation, chunking="frame", top_k=frames),
        f"chunk means {_other(generation.routing.pooling)} rotation": _routed(
            generation, pooling=_other(generation.routing.pooling)
        ),
        "first appearances pinned": replace(generation, steer="pin"),
        "first appearances banned": replace(generation, steer="ban"),
        "no own-shot link": replace(generation, own_link=False),
        "no captions": replace(generation, caption_link=False),
        "no guidance": replace(generation, sampler=replace(generation.sampler, guidance=1.0)),
    }
    for level in (0.05, 0.1, 0.2, 0.4):
        sampler = replace(generation.sampler, memory_noise=level)
        changes[f"memories read at noise {level:g}"] = replace(generation, sampler=sampler)
    for name, changed in changes.items():
        yield Experiment(group="ablation", name=name, settings=replace(base, generation=changed))


def _with(base: EvaluationSettings, *, router: Method, top_k: int | None = None) -> EvaluationSettings:
    generation = replace(base.generation, router=router)
    return replace(base, generation=generation if top_k is None else _routed(generation, top_k=top_k))


def _routed(generation: GenerationSettings, **changes: Any) -> GenerationSettings:
    return replace(generation, routing=replace(generation.routing, **changes))


def _other(pooling: str) -> str:
    return "before" if pooling == "after" else "after"


def _frames_for(tracks: int) -> int:
    """The number of frames of eight slots with about as many tokens as `tracks` tracks of six frames."""
    return max(1, round(tracks * 6 / 8))

"""How often is a drifted look corrected by attending to the right appearance only?

Held-out stories are rendered shot by shot by the renderer, as in the studio. If a cast member or set looks
different from what it should (`moc_engine.trace.drift`), the appearance that determines its look is pinned,
its other appearances are banned, and the shot is rendered again with the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from moc_engine.config import PartSteering
from moc_engine.contract import ContextTake, Renderer, RenderRequest, RenderResult, finish
from moc_engine.evaluation.generation.leave_one_out import noise_seed
from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.models.animatic.world import Story
from moc_engine.stored_file import LocalFile
from moc_engine.trace.drift import Appearance, Drift, ShotSightings, drift_of, sightings
from moc_engine.trace.trace_file import read_trace
from moc_engine.vocabulary import described_cast

FRAME_SIZE: Final = (96, 54)
"""Looks are read from latents, so frames can be small."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """Counts: `appearances` with a look to keep, how many `drifted`, on how many of those with access to the
    right look the remedy was `tried`, and how often it `helped`.
    """

    appearances: int
    drifted: int
    tried: int
    helped: int


@dataclass(frozen=True, kw_only=True)
class _RenderedShot:
    """A rendered shot."""

    request: RenderRequest
    scene: ShotSightings


def measure(
    renderer: Renderer,
    settings: EvaluationSettings,
    *,
    report: Callable[[int], None] = lambda done: None,
) -> Remedy:
    """Renders the stories and tries every remedy; calls `report` with the number of finished stories.

    Of `settings.generation` only the seed is used: routing and sampler are the model's defaults.
    """
    found = Remedy(appearances=0, drifted=0, tried=0, helped=0)
    for number in range(settings.stories):
        story = settings.story(number)
        with TemporaryDirectory() as folder:
            shots = list(_rendered(renderer, story, settings, number, Path(folder)))
            found = _sum(found, _remedied(renderer, shots))
        report(number + 1)
    return found


def _rendered(
    renderer: Renderer, story: Story, settings: EvaluationSettings, number: int, folder: Path
) -> Iterator[_RenderedShot]:
    takes: list[ContextTake] = []
    for index, shot in enumerate(story.shots):
        request = RenderRequest(
            shot=index,
            caption=shot.caption,
            global_caption=story.global_caption,
            cast=story.cast,
            seconds=settings.tokens / 2,
            fps=1.0,
            size=FRAME_SIZE,
            seed=noise_seed(settings.generation.seed, number, index),
            output=folder / str(index),
            context=tuple(takes),
        )
        request.output.mkdir()
        result = finish(renderer, request)
        takes.append(
            ContextTake(
                id=str(index),
                shot=index,
                latents=LocalFile(result.latents),
                caption=request.caption,
                global_caption=request.global_caption,
                cast=request.cast,
                seconds=request.seconds,
            )
        )
        yield _RenderedShot(request=request, scene=_scene(request, result))


def _remedied(renderer: Renderer, shots: list[_RenderedShot]) -> Remedy:
    scenes = [shot.scene for shot in shots]
    kept = [
        (drift, seen) for drift in drift_of(scenes) for seen in drift.appearances if seen.distance is not None
    ]
    drifted = [(drift, seen) for drift, seen in kept if seen.drifted]
    tried = [(drift, seen) for drift, seen in drifted if seen.share is not None]
    helped = [_corrected(renderer, shots, drift, seen) for drift, seen in tried]
    return Remedy(appearances=len(kept), drifted=len(drifted), tried=len(tried), helped=sum(helped))


def _corrected(renderer: Renderer, shots: list[_RenderedShot], drift: Drift, seen: Appearance) -> bool:
    """Whether the look is right after attending to the right appearance only."""
    name = drift.name
    before = shots[seen.index].request
    request = replace(
        before,
        parts=PartSteering(
            pins=((seen.anchor, name),), bans=tuple((index, name) for index in drift.misleading(seen))
        ),
        output=before.output.with_name(f"{before.output.name} again"),
    )
    request.output.mkdir(exist_ok=True)
    again = _scene(request, finish(renderer, request))
    scenes = [again if shot.scene.index == seen.index else shot.scene for shot in shots]
    for found in drift_of(scenes):
        for appearance in found.appearances:
            if found.name == name and appearance.index == seen.index:
                return not appearance.drifted
    return False  # it is no longer in the shot


def _scene(request: RenderRequest, result: RenderResult) -> ShotSightings:
    trace = read_trace(result.trace)
    return ShotSightings(
        index=request.shot,
        take=str(request.shot),
        visible=trace.visible,
        seen=sightings(trace, request.cast),
        described=frozenset(described_cast(request.caption, request.cast)),
    )


def _sum(one: Remedy, other: Remedy) -> Remedy:
    return Remedy(
        appearances=one.appearances + other.appearances,
        drifted=one.drifted + other.drifted,
        tried=one.tried + other.tried,
        helped=one.helped + other.helped,
    )

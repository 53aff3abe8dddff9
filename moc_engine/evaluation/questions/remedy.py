"""How often a look that drifted is mended by remembering the right one alone.

Held-out stories are rendered as the studio does, shot by shot by the renderer. Wherever a cast member or set
looks different from what it should (`moc_engine.trace.drift`), the appearance that decides its
look is pinned, its other ones are banned, and the shot is rendered again at the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from moc_engine.config import PartSteering
from moc_engine.contract import ContextTake, Renderer, RenderRequest, RenderResult, finish
from moc_engine.evaluation.examination import Examination
from moc_engine.evaluation.retakes import noise_seed
from moc_engine.models.animatic.world import Story
from moc_engine.trace.drift import Appearance, Drift, Scene, drift_of, sightings
from moc_engine.trace.record import RoutingTrace
from moc_engine.vocabulary import looks_told

GLANCE: Final = (96, 54)
"""Looks are read from latents: the pictures may be small and few."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """Of `appearances` that had a look to keep `drifted` looked different; of those that could see the right
    look it was `tried` on, and `helped`.
    """

    appearances: int
    drifted: int
    tried: int
    helped: int


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A rendered shot."""

    wanted: RenderRequest
    scene: Scene
    take: ContextTake


def measure(
    renderer: Renderer,
    examination: Examination,
    *,
    report: Callable[[int], None] = lambda examined: None,
) -> Remedy:
    """Renders the stories and every remedy; `report` hears how many stories are done.

    Of the examination's playback the seed counts alone: all else is the model's own.
    """
    found = Remedy(appearances=0, drifted=0, tried=0, helped=0)
    for number in range(examination.stories):
        story = examination.story(number)
        with TemporaryDirectory() as folder:
            shown = list(_rendered(renderer, story, examination, number, Path(folder)))
            found = _joined(found, _remedied(renderer, shown))
        report(number + 1)
    return found


def _rendered(
    renderer: Renderer, story: Story, examination: Examination, number: int, folder: Path
) -> Iterator[_Shown]:
    takes: list[ContextTake] = []
    for index, shot in enumerate(story.shots):
        wanted = RenderRequest(
            shot=index,
            caption=shot.caption,
            global_caption=story.global_caption,
            cast=story.cast,
            seconds=examination.tokens / 2,
            fps=1.0,
            size=GLANCE,
            seed=noise_seed(examination.playback.seed, number, index),
            output=folder / str(index),
            context=tuple(takes),
        )
        wanted.output.mkdir()
        result = finish(renderer, wanted)
        takes.append(
            ContextTake(
                id=str(index),
                shot=index,
                latents=result.latents,
                caption=wanted.caption,
                global_caption=wanted.global_caption,
                cast=wanted.cast,
                seconds=wanted.seconds,
            )
        )
        yield _Shown(wanted=wanted, scene=_scene(wanted, result), take=takes[-1])


def _remedied(renderer: Renderer, shown: list[_Shown]) -> Remedy:
    scenes = [shot.scene for shot in shown]
    kept = [
        (drift, seen) for drift in drift_of(scenes) for seen in drift.appearances if seen.distance is not None
    ]
    drifted = [(drift, seen) for drift, seen in kept if seen.drifted]
    tried = [(drift, seen) for drift, seen in drifted if seen.share is not None]
    helped = [_mended(renderer, shown, drift, seen) for drift, seen in tried]
    return Remedy(appearances=len(kept), drifted=len(drifted), tried=len(tried), helped=sum(helped))


def _mended(renderer: Renderer, shown: list[_Shown], drift: Drift, seen: Appearance) -> bool:
    """Whether it looks as it should once it remembers the right look alone."""
    name = drift.name
    before = shown[seen.index].wanted
    wanted = replace(
        before,
        parts=PartSteering(
            pins=((seen.anchor, name),), bans=tuple((index, name) for index in drift.misleading(seen))
        ),
        output=before.output.with_name(f"{before.output.name} again"),
    )
    wanted.output.mkdir(exist_ok=True)
    again = _scene(wanted, finish(renderer, wanted))
    scenes = [again if shot.scene.index == seen.index else shot.scene for shot in shown]
    for found in drift_of(scenes):
        for appearance in found.appearances:
            if found.name == name and appearance.index == seen.index:
                return not appearance.drifted
    return False  # it is not there any more


def _scene(wanted: RenderRequest, result: RenderResult) -> Scene:
    trace = RoutingTrace.load(result.trace)
    return Scene(
        index=wanted.shot,
        take=str(wanted.shot),
        visible=trace.visible,
        seen=sightings(trace, wanted.cast),
        told=frozenset(looks_told(wanted.caption, wanted.cast)),
    )


def _joined(one: Remedy, other: Remedy) -> Remedy:
    return Remedy(
        appearances=one.appearances + other.appearances,
        drifted=one.drifted + other.drifted,
        tried=one.tried + other.tried,
        helped=one.helped + other.helped,
    )

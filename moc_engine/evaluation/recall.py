"""Does the model remember? Looks that a caption leaves unsaid must be those of the earlier takes.

Every shot is rendered in order with the model's own earlier takes as context, and read back from its
latents. What a character must look like is what its first take shows, or what words have said since:
a description or an event that changes it for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.animatic.captions import LOOK_PARTS
from moc_engine.animatic.colour import linear_from_lab
from moc_engine.animatic.model import AnimaticPipeline
from moc_engine.animatic.scene import Scene, Track
from moc_engine.animatic.script import Event
from moc_engine.animatic.world import Story, sample_story
from moc_engine.config import RoutingConfig
from moc_engine.evaluation.playback import Playback, Router, play

Colour = NDArray[np.float64]

SAME_COLOUR: Final = 0.1
SAME_GROWTH: Final = 0.25
"""How near the latest state a painted body and a grown size must come to count as remembered."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a take shows of a character: shape, accessory (-1 none), linear colours, log2 of its size."""

    shape: int
    accessory: int
    body: Colour
    accent: Colour
    growth: float


@dataclass(kw_only=True)
class Score:
    """Outcomes, one entry per examined character and shot; colour errors are mean absolute, 0–1."""

    shape: list[bool] = field(default_factory=list)
    accessory: list[bool] = field(default_factory=list)
    colour_error: list[float] = field(default_factory=list)
    latest_state: list[bool] = field(default_factory=list)
    present: list[bool] = field(default_factory=list)
    setting: list[bool] = field(default_factory=list)
    count: list[bool] = field(default_factory=list)

    def headline(self) -> dict[str, float]:
        """The means, by name; what was never examined is left out."""
        return {name: float(np.mean(values)) for name, values in vars(self).items() if values}


def recall_score(
    pipeline: AnimaticPipeline,
    *,
    stories: int,
    shots: int,
    router: Router = "moc",
    routing: RoutingConfig | None = None,
    steps: int = 12,
    guidance: float = 1.0,
    tokens: int = 4,
    cast: int = 4,
    seed: int = 10_000,
    batch: int = 32,
) -> Score:
    """Renders held-out stories and examines them; `tokens` is the length of every shot in token frames."""
    told = [
        sample_story(np.random.default_rng((seed, i)), shots=shots, cast=cast, tokens=tokens)
        for i in range(stories)
    ]
    playback = Playback(
        router=router,
        routing=routing if routing is not None else RoutingConfig(),
        steps=steps,
        guidance=guidance,
        seed=seed,
    )
    score = Score()
    for start in range(0, stories, batch):
        group = told[start : start + batch]
        takes: NDArray[np.float32] = play(pipeline, group, playback).float().cpu().numpy()
        for story, latents in zip(group, takes, strict=True):
            examine(story, [Scene.from_latents(shot) for shot in latents], score)
    return score


def examine(story: Story, takes: Sequence[Scene], score: Score) -> None:
    """Adds to `score` what the takes of one story show."""
    known: dict[int, Seen] = {}
    changed: set[int] = set()
    for shot, take in zip(story.shots, takes, strict=True):
        found = list(characters(take))
        present = dict(found)
        score.count.append(len(found) == len(shot.script.actors))
        score.setting.append(int(take.set["kind"].mean(axis=0).argmax()) == shot.script.place.kind)
        unsaid = {recall.cast: recall.parts for recall in shot.recalls}
        for actor in shot.script.actors:
            seen, before = present.get(actor.cast), known.get(actor.cast)
            parts = unsaid.get(actor.cast, ())
            score.present.append(seen is not None)
            if before is not None:
                _compare(before, seen, parts, score, changed=actor.cast in changed)
            if seen is None:
                continue
            if before is None or (actor.cast not in unsaid and actor.event is None):
                known[actor.cast] = seen
            elif actor.event is not None:
                known[actor.cast] = _after(actor.event, before, seen)
                changed.add(actor.cast)
            else:
                known[actor.cast] = _redescribed(before, seen, parts)


def characters(take: Scene) -> Iterator[tuple[int, Seen]]:
    """The cast members in a take and how they look at its end."""
    for track in take.characters:
        if _end(track, "presence")[0] > 0.5:
            accessory = _end(track, "accessory")
            yield (
                int(_end(track, "cast").argmax()),
                Seen(
                    shape=int(_end(track, "shape").argmax()),
                    accessory=int(accessory.argmax()) if accessory.max() > 0.5 else -1,
                    body=_colour(track, "body"),
                    accent=_colour(track, "accent"),
                    growth=float(_end(track, "growth")[0]),
                ),
            )


def _end(track: Track, name: str) -> NDArray[np.float64]:
    """A field's mean over the last third of the take, when an event in it is over."""
    values = track[name].astype(np.float64).reshape(len(track[name]), -1)
    mean: NDArray[np.float64] = values[-max(1, len(values) // 3) :].mean(axis=0)
    return mean


def _colour(track: Track, name: str) -> Colour:
    return linear_from_lab(_end(track, name) + np.array([0.7, 0.0, 0.0]))


def _compare(known: Seen, seen: Seen | None, parts: Sequence[str], score: Score, *, changed: bool) -> None:
    """A character that is missing has neither its shape nor its accessory."""
    if "shape" in parts:
        score.shape.append(seen is not None and seen.shape == known.shape)
    if "accessory" in parts:
        score.accessory.append(seen is not None and seen.accessory == known.accessory)
    if seen is None:
        return
    for part in ("body", "accent"):
        if part in parts:
            score.colour_error.append(_distance(getattr(seen, part), getattr(known, part)))
    if changed and {"body", "accessory"} <= set(parts):
        score.latest_state.append(
            seen.accessory == known.accessory
            and _distance(seen.body, known.body) < SAME_COLOUR
            and abs(seen.growth - known.growth) < SAME_GROWTH
        )


def _distance(one: Colour, other: Colour) -> float:
    return float(np.abs(one - other).mean())


def _after(event: Event, before: Seen, seen: Seen) -> Seen:
    """What is known of a character once an event is over: as before, but for what the event changed."""
    if event.kind == "gains":
        assert event.accessory is not None
        return replace(before, accessory=event.accessory)
    if event.kind == "loses":
        return replace(before, accessory=-1)
    if event.kind == "painted":
        return replace(before, body=seen.body)
    return replace(before, growth=seen.growth)


def _redescribed(before: Seen, seen: Seen, unsaid: Sequence[str]) -> Seen:
    """What is known once a caption has described some parts again: those as the take shows them."""
    return replace(before, **{part: getattr(seen, part) for part in LOOK_PARTS if part not in unsaid})

"""Does the model remember? Looks that a caption leaves unsaid must be those of the earlier takes.

Every shot is rendered in order with the model's own earlier takes as context, and read back from its
latents. What a character must look like is what the first take that shows it shows, or what words have
said since: a description or an event that changes it for good. A take that lacks a character whom its
caption names has its shape, accessory and state wrong; so has the next, if what it should remember was to
be seen in such a take alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.animatic.captions import LOOK_PARTS
from moc_engine.animatic.colour import linear_from_lab
from moc_engine.animatic.model import AnimaticPipeline
from moc_engine.animatic.scene import CAST_SIZE, Scene, Track
from moc_engine.animatic.script import Event
from moc_engine.animatic.world import Story, sample_story
from moc_engine.config import RoutingConfig, SamplerConfig
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


@dataclass(frozen=True, kw_only=True)
class Examination:
    """How many stories, of how many shots and cast members, and how they are rendered.

    `tokens` is the length of every shot in token frames, two latent frames each. Raises `ValueError` for
    what makes no sense.
    """

    stories: int = 100
    shots: int = 8
    cast: int = 4
    tokens: int = 4
    router: Router = "moc"
    routing: RoutingConfig = field(default_factory=RoutingConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    seed: int = 10_000

    def __post_init__(self) -> None:
        for name in ("stories", "shots", "tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be 1 or more, got {getattr(self, name)}")
        if not 1 <= self.cast <= CAST_SIZE:
            raise ValueError(f"cast: must be within 1–{CAST_SIZE}, got {self.cast}")
        if self.seed < 0:
            raise ValueError(f"seed: must be 0 or more, got {self.seed}")


def recall_score(
    pipeline: AnimaticPipeline,
    examination: Examination,
    *,
    batch: int = 10,
    report: Callable[[int], None] = lambda examined: None,
) -> Score:
    """Renders held-out stories, `batch` at a time, and examines them; `report` hears how many are done."""
    playback = Playback(
        router=examination.router,
        routing=examination.routing,
        sampler=examination.sampler,
        seed=examination.seed,
    )
    score = Score()
    for start in range(0, examination.stories, batch):
        group = [_story(examination, i) for i in range(start, min(start + batch, examination.stories))]
        takes: NDArray[np.float32] = play(pipeline, group, playback).float().cpu().numpy()
        for story, latents in zip(group, takes, strict=True):
            examine(story, [Scene.from_latents(shot) for shot in latents], score)
        report(start + len(group))
    return score


def _story(examination: Examination, number: int) -> Story:
    rng = np.random.default_rng((examination.seed, number))
    return sample_story(rng, shots=examination.shots, cast=examination.cast, tokens=examination.tokens)


def examine(story: Story, takes: Sequence[Scene], score: Score) -> None:
    """Adds to `score` what the takes of one story show."""
    known: dict[int, Seen | None] = {}  # whom captions have named; None: what to remember was never shown
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
            _compare(before, seen, parts, score, changed=actor.cast in changed)
            if actor.event is not None and actor.cast in known:
                changed.add(actor.cast)
            known[actor.cast] = _learned(before, seen, parts, actor.event)


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


def _compare(
    known: Seen | None, seen: Seen | None, parts: Sequence[str], score: Score, *, changed: bool
) -> None:
    """Compares the parts that memory must supply; with nothing to compare they are wrong, colours aside."""
    shape = accessory = latest = False
    if known is not None and seen is not None:
        shape = seen.shape == known.shape
        accessory = seen.accessory == known.accessory
        latest = (
            accessory
            and _distance(seen.body, known.body) < SAME_COLOUR
            and abs(seen.growth - known.growth) < SAME_GROWTH
        )
        for part in ("body", "accent"):
            if part in parts:
                score.colour_error.append(_distance(getattr(seen, part), getattr(known, part)))
    if "shape" in parts:
        score.shape.append(shape)
    if "accessory" in parts:
        score.accessory.append(accessory)
    if changed and {"body", "accessory"} <= set(parts):
        score.latest_state.append(latest)


def _learned(
    before: Seen | None, seen: Seen | None, unsaid: Sequence[str], event: Event | None
) -> Seen | None:
    """What is known of a character after a take that names it."""
    if seen is None:
        return before if event is None else None
    if before is None:
        return seen
    return _redescribed(before, seen, unsaid) if event is None else _after(event, before, seen)


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

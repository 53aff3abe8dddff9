"""Everything that decides a take's pixels, and how it follows from a storyboard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from studio.domain.frame_rate import exact_rate, rate_to_json
from studio.domain.names import mentioned
from studio.domain.storyboard import Steered, Storyboard, steering


@dataclass(frozen=True, kw_only=True)
class TakeInputs:
    """Everything that decides a take's pixels.

    `context` and the steering name takes, not shots, so that a take stays what it is when shots around it
    move; "TAKE/Mira" steers a part of one. `cast` lists the names in order; only the places of those that
    the captions name decide anything. None leaves a choice to the model; `model` says which one, to the
    weights.
    """

    model: str
    caption: str
    global_caption: str
    cast: tuple[str, ...]
    seconds: float
    fps: Fraction
    size: tuple[int, int]
    seed: int
    steps: int | None = None
    guidance: float | None = None
    top_k: int | None = None
    context: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    boosts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fps", exact_rate(self.fps))

    @property
    def places(self) -> dict[str, int]:
        """The cast members that the captions name, each with its place in the cast."""
        places = mentioned(self.caption, self.cast) | mentioned(self.global_caption, self.cast)
        return {self.cast[place]: place for place in sorted(places)}

    @property
    def take_id(self) -> str:
        """Equal inputs give equal pixels, so the digest of what decides them names the take."""
        decisive = {**vars(self), "cast": self.places, "fps": rate_to_json(self.fps)}
        text = json.dumps(decisive, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def inputs_of(
    board: Storyboard,
    model: str,
    index: int,
    *,
    caption: str,
    context: Sequence[tuple[int, str]],
    seed: int,
) -> TakeInputs:
    """What shot `index` is rendered from: its composed caption, and (place, take id) of what it may look at.

    A take may stand at several places. One that is banned at any of them is banned, whatever pins it.
    """
    steered = steering(board, index)
    take_of = dict(context)
    shot = board.shots[index]

    def names(targets: Iterable[Steered]) -> dict[Steered, str]:
        """As takes; those of shots that have none are left out."""
        return {
            (place, part): take_of[place] if part is None else f"{take_of[place]}/{part}"
            for place, part in targets
            if place in take_of
        }

    bans = tuple(dict.fromkeys(names(steered.bans).values()))
    pins = dict.fromkeys(names(steered.pins).values())
    boosts = names(steered.boosts)
    return TakeInputs(
        model=model,
        caption=caption,
        global_caption=board.style,
        cast=board.names,
        seconds=round(shot.trim + shot.seconds, 6),
        fps=board.fps,
        size=board.size,
        seed=seed,
        steps=board.settings.steps,
        guidance=board.settings.guidance,
        top_k=board.settings.top_k,
        context=tuple(dict.fromkeys(take for _, take in context)),
        pins=tuple(take for take in pins if take not in bans),
        bans=bans,
        boosts={name: steered.boosts[at] for at, name in boosts.items() if name not in bans},
    )

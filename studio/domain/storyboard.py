"""A storyboard: the story as plain data, its rules, and the captions as the model will read them.

Shots are counted from 0 here and from 1 wherever a person reads or writes. A rule that is broken
raises `BadStoryboard`, which names the field.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from moc_engine.names import mentioned, words_of
from studio.domain.checks import check_id, check_number, check_seed, check_text, compose, composed
from studio.domain.errors import BadStoryboard, errors_within
from studio.domain.first_frame import first_frame
from studio.domain.frame_rate import exact_rate
from studio.domain.messages import message
from studio.domain.picture_name import check_picture
from studio.domain.settings import Lora, Settings, check_draft_use, check_loras

MAX_SHOTS: Final = 500
MAX_CAST: Final = 64
"""Of the studio; a model may tell fewer apart."""

SECONDS: Final = (0.5, 60.0)
"""The shortest and longest shot."""
FPS: Final = (1.0, 60.0)
MOST_BOOST: Final = 100
SIDE: Final = (64, 4096)
"""The least and greatest width or height in pixels."""
_MAX_TEXT = 2000


@dataclass(frozen=True, kw_only=True)
class CastMember:
    """A character by name. Where `look` is left out, the first appearance decides it.

    A `picture` (`picture_name.py`) shows models that take references whom they are to draw.
    """

    name: str
    look: str | None = None
    picture: str | None = None

    def __post_init__(self) -> None:
        compose(self, "name", "look")
        check_text(self.name, "name", most=40)
        if not words_of(self.name):
            raise BadStoryboard(message("name-without-letter", name=self.name), ("name",))
        if self.name.endswith(("'s", "’s")):
            raise BadStoryboard(message("name-possessive", name=self.name, ending=self.name[-2:]), ("name",))
        if self.look is not None:
            check_text(self.look, "look", most=500)
        if self.picture is not None:
            check_picture(self.picture, "picture")


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One caption and what else decides the shot's pictures.

    `id` stays with the shot when it is moved; pins, bans and boosts name other shots by it, or a part of one,
    as "ID/Mira". The shot shows `seconds` of its take, from `trim` on. A shot without a seed of its own
    draws one from the film's seed and its id. A `negative_prompt` replaces that of the film; `loras` join
    those of the film. It starts with a `first_frame` if it has one (`first_frame.py`). A `guide_strength`
    or `control_scale` replaces both of the film.
    """

    id: str
    caption: str
    seconds: float = 3.0
    trim: float = 0.0
    seed: int | None = None
    pins: tuple[str, ...] = ()
    bans: tuple[str, ...] = ()
    boosts: Mapping[str, float] = field(default_factory=dict)
    skip: bool = False
    lock: bool = False
    negative_prompt: str | None = None
    loras: tuple[Lora, ...] = ()
    first_frame: str | None = None
    guide_strength: float | None = None
    control_scale: float | None = None

    def __post_init__(self) -> None:
        compose(self, "caption", "negative_prompt")
        for steering in ("pins", "bans"):
            object.__setattr__(self, steering, tuple(map(composed, getattr(self, steering))))
        object.__setattr__(self, "boosts", {composed(name): x for name, x in self.boosts.items()})
        check_id(self.id, "id")
        for names, where in ((self.pins, "pins"), (self.bans, "bans"), (self.boosts, "boosts")):
            for name in names:
                _target(name, where)
        if self.caption:
            check_text(self.caption, "caption", most=_MAX_TEXT)
        check_number(self.seconds, "seconds", *SECONDS, unit=" s")
        check_number(self.trim, "trim", 0, round(SECONDS[1] - self.seconds, 6), unit=" s")
        if self.seed is not None:
            check_seed(self.seed, "seed")
        if self.negative_prompt:
            check_text(self.negative_prompt, "negative_prompt", most=_MAX_TEXT)
        check_loras(self.loras)
        if self.first_frame is not None:
            first_frame(self.first_frame)
        check_draft_use(self.guide_strength, self.control_scale)
        both = [name for name in self.pins if name in self.bans]
        if both:
            raise BadStoryboard(message("pinned-and-banned"), ("bans", self.bans.index(both[0])))
        for name, boost in self.boosts.items():
            if name in self.bans:
                raise BadStoryboard(message("boosted-and-banned"), ("boosts", name))
            if not abs(boost) <= MOST_BOOST:
                raise BadStoryboard(
                    message("boost-out-of-range", least=-MOST_BOOST, most=MOST_BOOST, boost=boost),
                    ("boosts", name),
                )


@dataclass(frozen=True, kw_only=True)
class Storyboard:
    """A whole film: `style` is the caption every shot inherits, `size` is (width, height) in pixels.

    It may be half-written; what `check_ready` asks for besides is needed for rendering it whole.
    """

    title: str
    shots: tuple[Shot, ...] = ()
    cast: tuple[CastMember, ...] = ()
    style: str = ""
    size: tuple[int, int] = (1280, 720)
    fps: Fraction = Fraction(24)
    seed: int = 0
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        compose(self, "title", "style")
        check_text(self.title, "title", most=200)
        if self.style:
            check_text(self.style, "style", most=_MAX_TEXT)
        for side, name in zip(self.size, ("width", "height"), strict=True):
            if not SIDE[0] <= side <= SIDE[1]:
                raise BadStoryboard(
                    message("side-out-of-range", side=name, least=SIDE[0], most=SIDE[1], pixels=side),
                    ("size",),
                )
            if side % 2:
                raise BadStoryboard(message("side-odd", side=name, pixels=side), ("size",))
        with errors_within("fps"):
            object.__setattr__(self, "fps", exact_rate(self.fps))
        check_number(self.fps, "fps", *FPS)
        check_seed(self.seed, "seed")
        self._check_cast()
        self._check_shots()

    def _check_cast(self) -> None:
        if len(self.cast) > MAX_CAST:
            raise BadStoryboard(
                message("too-many-cast-members", most=MAX_CAST, count=len(self.cast)), ("cast",)
            )
        seen: dict[tuple[str, ...], str] = {}
        for index, member in enumerate(self.cast):
            words = words_of(member.name)
            if words in seen:
                raise BadStoryboard(
                    message("names-alike", name=member.name, other=seen[words]), ("cast", index, "name")
                )
            seen[words] = member.name

    def _check_shots(self) -> None:
        if len(self.shots) > MAX_SHOTS:
            raise BadStoryboard(message("too-many-shots", most=MAX_SHOTS, count=len(self.shots)), ("shots",))
        if len({shot.id for shot in self.shots}) < len(self.shots):
            raise BadStoryboard(message("shot-id-twice"), ("shots",))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.cast)


def check_ready(board: Storyboard) -> None:
    """Raises `BadStoryboard` where there is nothing to render, or a shot without a caption."""
    if not board.shots:
        raise BadStoryboard(message("no-shots"), ("shots",))
    if all(shot.skip for shot in board.shots):
        raise BadStoryboard(message("all-skipped"), ("shots",))
    for index, shot in enumerate(board.shots):
        if not shot.caption:
            raise BadStoryboard(message("empty"), ("shots", index, "caption"))


Steered = tuple[int, str | None]
"""A shot by its index, and a part of it by name; None for the whole shot."""


@dataclass(frozen=True, kw_only=True)
class ShotSteering:
    """A shot's steering by the indices of shots and by part, None for a whole shot.

    `dormant` are the indices of steered shots that are skipped or no longer earlier; None stands for
    a shot that is gone.
    """

    pins: tuple[Steered, ...] = ()
    bans: tuple[Steered, ...] = ()
    boosts: Mapping[Steered, float] = field(default_factory=dict)
    dormant: tuple[int | None, ...] = ()


def steering(board: Storyboard, index: int) -> ShotSteering:
    """What shot `index` is told about earlier shots, as far as it can take effect."""
    indices = {shot.id: number for number, shot in enumerate(board.shots)}
    shot = board.shots[index]
    awake: dict[str, Steered] = {}
    dormant: list[int | None] = []
    for name in dict.fromkeys((*shot.pins, *shot.bans, *shot.boosts)):
        other, part = target(name)
        at = indices.get(other)
        if at is not None and at < index and not board.shots[at].skip:
            awake[name] = at, part
        else:
            dormant.append(at)
    return ShotSteering(
        pins=tuple(awake[name] for name in shot.pins if name in awake),
        bans=tuple(awake[name] for name in shot.bans if name in awake),
        boosts={awake[name]: boost for name, boost in shot.boosts.items() if name in awake},
        dormant=tuple(dormant),
    )


def target(name: str) -> tuple[str, str | None]:
    """ "a/Mira" -> ("a", "Mira"), "a" -> ("a", None): what a pin, ban or boost is about."""
    other, _, part = name.partition("/")
    return other, part or None


def all_loras(board: Storyboard) -> tuple[Lora, ...]:
    """The LoRAs of the film, and those that its shots have besides."""
    return (*board.settings.loras, *(lora for shot in board.shots for lora in shot.loras))


def lora_files(board: Storyboard) -> tuple[str, ...]:
    """The files of all LoRAs that the film or a shot of it has."""
    return tuple(dict.fromkeys(lora.file for lora in all_loras(board)))


@dataclass(frozen=True, kw_only=True)
class FirstFrameSource:
    """What a shot starts with: a picture by its digest, or the last frame of the earlier shot at `index`.

    Both are None where it names a shot that is skipped, gone or no longer earlier, or a file not yet read.
    """

    index: int | None = None
    picture: str | None = None


def first_frame_source(board: Storyboard, index: int) -> FirstFrameSource | None:
    """What the shot at `index` starts with; None if it has no first frame."""
    text = board.shots[index].first_frame
    if text is None:
        return None
    chosen = first_frame(text)
    if chosen.kind == "picture":
        return FirstFrameSource(picture=chosen.name)
    earlier = [at for at in range(index) if not board.shots[at].skip]
    if chosen.kind == "previous":
        return FirstFrameSource(index=earlier[-1] if earlier else None)
    return FirstFrameSource(index=next((at for at in earlier if board.shots[at].id == chosen.name), None))


@dataclass(frozen=True, kw_only=True)
class DraftUse:
    """How a final is made from its draft: it starts from it at a `strength`, or follows it at a `scale`."""

    strength: float | None = None
    scale: float | None = None


def draft_use(board: Storyboard, index: int) -> DraftUse | None:
    """How the final of the shot at `index` is made from its draft; None where it is not."""
    shot = board.shots[index]
    own = shot.guide_strength is not None or shot.control_scale is not None
    chosen: Shot | Settings = shot if own else board.settings
    if chosen.control_scale is not None:
        return DraftUse(scale=float(chosen.control_scale))
    if chosen.guide_strength is not None and chosen.guide_strength < 1:
        return DraftUse(strength=float(chosen.guide_strength))
    return None


def shot_seed(board: Storyboard, index: int) -> int:
    """The shot's own seed, or one drawn from the film's seed and the shot's id."""
    shot = board.shots[index]
    if shot.seed is not None:
        return shot.seed
    digest = hashlib.sha256(f"{board.seed} {shot.id}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def compose_captions(board: Storyboard) -> tuple[str, ...]:
    """Each shot's caption, with the looks of the cast members it introduces.

    A look joins the first unskipped caption that names its owner, or with `looks="every"` each one.
    """
    introduced: set[str] = set()
    captions = []
    for shot in board.shots:
        sentences = [shot.caption]
        if not shot.skip:
            named = mentioned(shot.caption, board.names)
            for nth, member in enumerate(board.cast):
                if member.look and member.name not in introduced and nth in named:
                    sentences.append(f"{member.name} is {member.look.rstrip('. ')}")
                    if board.settings.looks == "first":
                        introduced.add(member.name)
        captions.append(as_sentences(sentences))
    return tuple(captions)


def parse_size(text: str) -> tuple[int, int]:
    """ "1280x720" -> (1280, 720)."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    if match is None:
        raise BadStoryboard(message("size-unreadable", text=text))
    return int(match[1]), int(match[2])


def as_sentences(parts: list[str]) -> str:
    """ "Mira waves", "Mira is red" -> "Mira waves. Mira is red."; a single part stays as it is."""
    if len(parts) == 1:
        return parts[0]
    return " ".join(part if part.endswith((".", "!", "?")) else f"{part}." for part in parts)


def _target(value: str, name: str) -> None:
    other, part = target(value)
    check_id(other, name)
    if part is not None:
        check_text(part, name, most=80)
        if len(part.splitlines()) > 1 or "\t" in part:
            raise BadStoryboard(message("part-with-line-break"), (name,))
    elif "/" in value:
        raise BadStoryboard(message("part-missing", target=value), (name,))

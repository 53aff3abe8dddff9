"""Writes storyboards as YAML that people can edit, without what goes without saying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from typing import Final

import yaml

from studio.domain.first_frame import first_frame
from studio.domain.frame_rate import parse_rate, rate_in_words
from studio.domain.picture_name import picture_name
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import CastMember, Shot, Storyboard, target

_SHOT_KEYS: Final = ("trim", "seed", "skip", "lock", "negative_prompt", "guide_strength", "control_scale")
"""Keys of a shot that are written as they are."""
_SETTINGS_KEYS: Final = tuple(f.name for f in fields(Settings) if f.name != "loras")


def write_storyboard(board: Storyboard) -> str:
    """The storyboard as YAML that `read_storyboard` reads, and that leaves out what goes without saying.

    Pins, bans and boosts name shots by number, so those of shots that are gone or no longer earlier are
    left out.
    """
    numbers = {shot.id: number for number, shot in enumerate(board.shots, start=1)}
    plain = Storyboard(title=board.title)
    film = {
        **_differing(board, plain, ("style",)),
        **({} if board.fps == plain.fps else {"fps": _written_rate(board.fps)}),
        **_differing(board, plain, ("seed",)),
    }
    size = {} if board.size == plain.size else {"size": f"{board.size[0]}x{board.size[1]}"}
    settings = _differing(board.settings, plain.settings, _SETTINGS_KEYS)
    settings |= _written_loras(board.settings.loras)
    document = {
        "title": board.title,
        **size,
        **film,
        **({"settings": settings} if settings else {}),
        "cast": [_written_member(member) for member in board.cast],
        "shots": [_written(shot, number, numbers) for number, shot in enumerate(board.shots, start=1)],
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text


def _written(shot: Shot, number: int, numbers: Mapping[str, int]) -> dict[str, object]:
    earlier = {name: other for name, other in numbers.items() if other < number}
    steering: dict[str, object] = {
        "pins": [told for name in shot.pins if (told := _numbered(name, earlier))],
        "bans": [told for name in shot.bans if (told := _numbered(name, earlier))],
        "boosts": {told: boost for name, boost in shot.boosts.items() if (told := _numbered(name, earlier))},
    }
    plain = Shot(id=shot.id, caption=shot.caption)
    return {
        "caption": shot.caption,
        "seconds": shot.seconds,
        **_differing(shot, plain, _SHOT_KEYS),
        **_written_loras(shot.loras),
        **_written_first_frame(shot.first_frame, earlier),
        **{word: shots for word, shots in steering.items() if shots},
    }


def _written_member(member: CastMember) -> dict[str, object]:
    named = None if member.picture is None else picture_name(member.picture)
    return {
        "name": member.name,
        **({"look": member.look} if member.look else {}),
        **({} if named is None else {"picture": named.name if named.kind == "file" else str(named)}),
    }


def _written_loras(loras: Sequence[Lora]) -> dict[str, object]:
    written = [
        lora.file
        if lora == Lora(file=lora.file)
        else {"file": lora.file, **_differing(lora, Lora(file=lora.file), ("weight", "expert"))}
        for lora in loras
    ]
    return {"loras": written} if written else {}


def _written_first_frame(text: str | None, earlier: Mapping[str, int]) -> dict[str, object]:
    """A shot that is gone or no longer earlier is left out."""
    chosen = None if text is None else first_frame(text)
    if chosen is None:
        return {}
    if chosen.kind == "shot":
        return {"first_frame": earlier[chosen.name]} if chosen.name in earlier else {}
    return {"first_frame": chosen.name if chosen.kind == "file" else str(chosen)}


def _written_rate(rate: Fraction) -> float | str:
    """A number that is read back as this rate, else a fraction."""
    short = rate_in_words(rate)
    return float(short) if parse_rate(short) == rate else f"{rate.numerator}/{rate.denominator}"


def _numbered(name: str, numbers: Mapping[str, int]) -> int | str | None:
    """What is steered, by number: 3, or "3/Mira"; None for a shot that has none."""
    other, part = target(name)
    number = numbers.get(other)
    return number if number is None or part is None else f"{number}/{part}"


def _differing(thing: object, plain: object, names: Sequence[str]) -> dict[str, object]:
    return {name: getattr(thing, name) for name in names if getattr(thing, name) != getattr(plain, name)}

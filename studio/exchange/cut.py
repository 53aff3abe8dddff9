"""A project's cut: the chosen takes in order with what shows of each, and the files that are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from moc_engine.files import write_text
from studio import __version__
from studio.domain.errors import Refused
from studio.domain.planner import chosen_take
from studio.domain.project import Project
from studio.domain.storyboard import Shot
from studio.exchange.contact_sheet import Panel, write_contact_sheet
from studio.exchange.mp4 import Piece, join, piece_of
from studio.exchange.srt import as_srt, as_webvtt, cues_of
from studio.store.artifacts import Artifacts
from studio.store.takes import StoredTake

EXPORTS: Final = ("film.mp4", "subtitles.srt", "captions.vtt", "contact-sheet.png")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A shot in the cut: its number as people count, its take, and the piece of the take that shows."""

    number: int
    shot: Shot
    take: StoredTake
    piece: Piece

    @property
    def seconds(self) -> float:
        return self.piece.frames / self.take.inputs.fps


def cut(project: Project, takes: Mapping[str, StoredTake], artifacts: Artifacts) -> tuple[Clip, ...]:
    """The clips in order. Raises `Refused` where a shot has no take, or takes do not fit into one film."""
    clips: list[Clip] = []
    without: list[str] = []
    for number, shot in enumerate(project.board.shots, start=1):
        if shot.skip:
            continue
        take = chosen_take(project, takes, shot.id)
        if take is None:
            without.append(str(number))
            continue
        stored = takes[take.id]
        piece = piece_of(
            artifacts.path(stored.clip, ".mp4"),
            stored.frames,
            stored.inputs.fps,
            trim=shot.trim,
            seconds=shot.seconds,
        )
        clips.append(Clip(number=number, shot=shot, take=stored, piece=piece))
    if without:
        these = f"shot {without[0]} has" if len(without) == 1 else f"shots {', '.join(without)} have"
        raise Refused(f"{these} no take yet: render or skip what is missing first")
    if not clips:
        raise Refused("there is nothing to export yet")
    _check_kinds(clips)
    return tuple(clips)


def write_export(kind: str, title: str, clips: tuple[Clip, ...], target: Path) -> None:
    """Writes one of `EXPORTS`."""
    match kind:
        case "film.mp4":
            join([clip.piece for clip in clips], target, title=title, recipe=_recipe(title, clips))
        case "contact-sheet.png":
            panels = [
                Panel(
                    number=clip.number,
                    clip=clip.piece.clip,
                    caption=clip.take.caption,
                    seconds=clip.seconds,
                )
                for clip in clips
            ]
            write_contact_sheet(panels, target, title=title)
        case _:
            cues = cues_of([(clip.take.caption, clip.seconds) for clip in clips])
            write_text(target, as_srt(cues) if kind == "subtitles.srt" else as_webvtt(cues))


def _check_kinds(clips: list[Clip]) -> None:
    kinds: dict[str, list[str]] = {}
    for clip in clips:
        width, height = clip.take.inputs.size
        kinds.setdefault(f"{width}x{height} at {clip.take.inputs.fps:g} fps", []).append(str(clip.number))
    if len(kinds) > 1:
        told = "; ".join(f"shot {', '.join(numbers)} in {kind}" for kind, numbers in kinds.items())
        raise Refused(f"these do not fit into one film: {told}. Render those that differ again")


def _recipe(title: str, clips: tuple[Clip, ...]) -> dict[str, object]:
    """Everything needed to make the film again."""
    return {
        "program": f"moc-studio {__version__}",
        "title": title,
        "shots": [
            {
                "number": clip.number,
                "take": clip.take.id,
                "backend": clip.take.backend,
                "first_frame": clip.piece.first,
                "frames": clip.piece.frames,
                **asdict(clip.take.inputs),
            }
            for clip in clips
        ],
    }

"""The files that are made of a project's cut: film, subtitles, captions and contact sheet."""

from __future__ import annotations

from pathlib import Path

from moc_engine.files import write_text
from moc_engine.stored_file import StoredFile
from studio.domain.cut import Clip
from studio.domain.file_types import PICTURE
from studio.domain.named_pictures import picture_digests
from studio.domain.project import Project
from studio.exchange.contact_sheet import Panel, write_contact_sheet
from studio.exchange.mp4 import Piece, join
from studio.exchange.recipe import recipe_of
from studio.exchange.subtitles import as_srt, as_webvtt, cues_of
from studio.store.artifacts import Artifacts
from studio.store.takes import StoredTake

CutClip = Clip[StoredTake]


def write_export(
    kind: str, project: Project, clips: tuple[CutClip, ...], artifacts: Artifacts, target: Path
) -> None:
    """Writes one of `EXPORT_FILES` of a project's cut, a bundle excepted."""
    title = project.board.title
    match kind:
        case "film.mp4":
            pieces = [
                Piece(clip=_file(clip, artifacts), first=clip.first, frames=clip.frames, name=_name(clip))
                for clip in clips
            ]
            pictures = [
                artifacts.file(digest, PICTURE)
                for digest in picture_digests(project.board)
                if artifacts.size(digest, PICTURE) is not None
            ]
            join(pieces, target, title=title, recipe=recipe_of(project, clips), pictures=pictures)
        case "contact-sheet.png":
            panels = [
                Panel(
                    number=clip.number,
                    clip=_file(clip, artifacts),
                    frame=clip.middle,
                    caption=clip.take.caption,
                    seconds=float(clip.seconds),
                )
                for clip in clips
            ]
            write_contact_sheet(panels, target, title=title)
        case _:
            cues = cues_of([(clip.take.caption, clip.seconds) for clip in clips])
            write_text(target, as_srt(cues) if kind == "subtitles.srt" else as_webvtt(cues))


def _file(clip: CutClip, artifacts: Artifacts) -> StoredFile:
    return artifacts.file(clip.take.clip, ".mp4")


def _name(clip: CutClip) -> str:
    return f"shot {clip.number}"

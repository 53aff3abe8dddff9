"""The cuts of a video, found in its preview film, and captions from subtitles beside the video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from moc_engine.errors import FootageError, RenderCancelled
from moc_engine.training.data.footage.cut_settings import THRESHOLD
from moc_engine.training.data.footage.cuts import detect_cuts
from moc_engine.training.data.footage.subtitles import SUFFIXES, Cue, caption_between, read_subtitles
from studio.domain.errors import BadStoryboard
from studio.domain.footage import FootageShot, tidy_caption
from studio.worker.preview_film import PreviewFilm, Report
from studio.worker.running_job import CancelToken


@dataclass(frozen=True, kw_only=True)
class FoundShots:
    """The shots of a video; `notes` say what could not be read."""

    shots: tuple[FootageShot, ...]
    notes: tuple[str, ...] = ()


class FindShots(Protocol):
    """Finds the shots of a video, as `find_shots` does."""

    def __call__(
        self,
        preview: Path,
        source: Path,
        film: PreviewFilm,
        threshold: float | None,
        report: Report,
        cancel: CancelToken,
        /,
    ) -> FoundShots: ...


def find_shots(
    preview: Path,
    source: Path,
    film: PreviewFilm,
    threshold: float | None,
    report: Report,
    cancel: CancelToken,
) -> FoundShots:
    """The shots of a video, with the captions of the subtitles that lie beside it.

    Raises `RenderCancelled`, and `FootageError` where no detector is installed.
    """

    def going_on(done: float, total: float | None) -> None:
        if cancel.is_set():
            raise RenderCancelled
        report(done, total)

    cuts = detect_cuts(preview, threshold=threshold or THRESHOLD, report=going_on)
    starts = sorted({round(cut.start_seconds * film.rate) for cut in cuts} | {0})
    starts = [start for start in starts if start < film.frames]
    cues, notes = _subtitles_beside(source)
    shots = tuple(
        FootageShot(start=start, caption=_caption(cues, start / film.rate, end / film.rate))
        for start, end in zip(starts, [*starts[1:], film.frames], strict=True)
    )
    return FoundShots(shots=shots, notes=notes)


def _subtitles_beside(video: Path) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    """The cues of the subtitles with the video's name, and why they cannot be read, if so."""
    for suffix in SUFFIXES:
        file = video.with_suffix(suffix)
        if file.is_file():
            try:
                return read_subtitles(file), ()
            except FootageError as error:
                return (), (f"The subtitles are not used: {error}",)
    return (), ()


def _caption(cues: tuple[Cue, ...], start: Fraction, end: Fraction) -> str:
    try:
        return tidy_caption(caption_between(cues, float(start), float(end)))
    except BadStoryboard:  # too long, or with control characters
        return ""

"""Renders a planned storyboard take by take into a folder and makes the film of it.

plan ─► shoot: one take after the other, each kept as soon as it is done ─► assemble
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from moc_engine.contract import CancelToken, Renderer, RenderEvent, RenderResult
from moc_engine.files import write_text
from studio import __version__
from studio.domain.cut import shown_frames
from studio.domain.errors import WrongUse
from studio.domain.file_names import slug
from studio.domain.film_plan import ChosenTake, PlannedShot
from studio.domain.frame_rate import rate_in_words, rate_to_json
from studio.domain.storyboard import Storyboard
from studio.exchange.contact_sheet import Panel, write_contact_sheet
from studio.exchange.mp4 import Piece, join
from studio.exchange.subtitles import as_srt, as_webvtt, cues_of
from studio.exchange.takes import FilmFolder, FilmRecord, Take, write_take
from studio.jobs.requests import ContextSource, request_for
from studio.store.documents import inputs_to_json
from studio.store.os_errors import os_errors_as_studio_errors


@dataclass(frozen=True, kw_only=True)
class ShotBegins:
    """Shot `index` is about to render."""

    index: int


@dataclass(frozen=True, kw_only=True)
class ShotProgress:
    """The renderer reported on shot `index`."""

    index: int
    event: RenderEvent


@dataclass(frozen=True, kw_only=True)
class ShotEnds:
    """Shot `index` has a new take."""

    index: int
    take: Take


FilmEvent = ShotBegins | ShotProgress | ShotEnds


@dataclass(frozen=True, kw_only=True)
class Film:
    """A finished film, the files beside it and the takes it is made of, by shot."""

    path: Path
    subtitles: Path
    captions: Path
    contact_sheet: Path
    frames: int
    takes: Mapping[int, Take]


def check_formats(plan: Sequence[PlannedShot], takes: Mapping[str, Take]) -> None:
    """Raises `WrongUse` where takes that stay differ in size or rate from the film's others.

    Clips are joined without re-encoding, so a film is of one kind.
    """
    kinds: dict[str, list[int]] = {}
    for shot in plan:
        if shot.take is not None:
            inputs = takes[shot.take].inputs if shot.action == "keep" else shot.inputs
            kind = f"{inputs.size[0]}x{inputs.size[1]} at {rate_in_words(inputs.fps)} fps"
            kinds.setdefault(kind, []).append(shot.index + 1)
    if len(kinds) > 1:
        told = [f"shot {', '.join(map(str, numbers))} in {kind}" for kind, numbers in kinds.items()]
        raise WrongUse(
            f"these do not fit into one film: {'; '.join(told)}. Render them all, or keep the size and rate"
        )


def shoot(
    board: Storyboard,
    plan: Sequence[PlannedShot],
    folder: FilmFolder,
    make_renderer: Callable[[], Renderer],
    cancel: CancelToken | None = None,
) -> Generator[FilmEvent, None, dict[int, Take]]:
    """Renders what the plan says, in order; returns the takes the film is made of, by shot.

    A renderer is made only if there is something to render. A take is on disk, and in film.json,
    before its `ShotEnds` is told; shots not reached yet keep there what stood for them. Raises what
    the renderer raises, `RenderCancelled` included, and `OutputFailed`; finished takes stay.
    """
    takes = folder.takes()
    used = {shot.index: takes[shot.take] for shot in plan if shot.action == "keep" and shot.take}
    renderer: Renderer | None = None
    for shot in plan:
        if shot.action != "render":
            continue
        yield ShotBegins(index=shot.index)
        renderer = renderer or make_renderer()
        context = [(index, used[index]) for index, _ in shot.context]
        with os_errors_as_studio_errors(folder.root):
            used[shot.index] = yield from _shoot_one(board, shot, context, folder, renderer, cancel)
            folder.write_record(_record(board, plan, used))
        yield ShotEnds(index=shot.index, take=used[shot.index])
    return dict(sorted(used.items()))


def assemble(
    board: Storyboard, plan: Sequence[PlannedShot], takes: Mapping[int, Take], folder: FilmFolder
) -> Film:
    """Joins the takes' clips without re-encoding and writes subtitles, contact sheet and film.json."""
    stem = folder.root / slug(board.title)
    pieces = {index: _piece(board, index, take) for index, take in takes.items()}
    film = Film(
        path=stem.with_suffix(".mp4"),
        subtitles=stem.with_suffix(".srt"),
        captions=stem.with_suffix(".vtt"),
        contact_sheet=stem.with_name(f"{stem.name}-contact-sheet.png"),
        frames=sum(piece.frames for piece in pieces.values()),
        takes=takes,
    )
    with os_errors_as_studio_errors(folder.root):
        join(list(pieces.values()), film.path, title=board.title, recipe=recipe(board, takes))
        cues = cues_of([(takes[index].caption, piece.frames / board.fps) for index, piece in pieces.items()])
        write_text(film.subtitles, as_srt(cues))
        write_text(film.captions, as_webvtt(cues))
        panels = [
            Panel(
                number=index + 1,
                clip=take.clip,
                frame=pieces[index].first + pieces[index].frames // 2,
                caption=take.caption,
                seconds=board.shots[index].seconds,
            )
            for index, take in takes.items()
        ]
        write_contact_sheet(panels, film.contact_sheet, title=board.title)
        folder.write_record(_record(board, plan, takes, film.path.name))
    return film


def recipe(board: Storyboard, takes: Mapping[int, Take]) -> dict[str, object]:
    """Everything needed to make the film again: the storyboard and what each take was made from."""
    return {
        "program": f"moc-studio {__version__}",
        "storyboard": {**asdict(board), "fps": rate_to_json(board.fps)},
        "shots": [
            {"number": index + 1, "take": take.id, "backend": take.backend, **inputs_to_json(take.inputs)}
            for index, take in takes.items()
        ],
    }


def _shoot_one(
    board: Storyboard,
    shot: PlannedShot,
    context: Sequence[tuple[int, Take]],
    folder: FilmFolder,
    renderer: Renderer,
    cancel: CancelToken | None,
) -> Generator[FilmEvent, None, Take]:
    take_id = shot.inputs.take_id
    with folder.new_take(shot.index, take_id) as part:
        seen = [
            ContextSource(id=take.id, place=index, inputs=take.inputs, latents=take.latents)
            for index, take in context
        ]
        request = request_for(shot.inputs, place=shot.index, context=seen, output=part)
        rendering = renderer.render(request, cancel)
        while True:
            try:
                event = next(rendering)
            except StopIteration as stop:
                result: RenderResult = stop.value
                break
            yield ShotProgress(index=shot.index, event=event)
        write_take(
            Take(
                folder=part,
                inputs=shot.inputs,
                shot=shot.index,
                caption=board.shots[shot.index].caption,
                context=shot.context,
                clip=result.clip,
                latents=result.latents,
                trace=result.trace,
                frames=result.frames,
                backend=result.backend,
                timings={str(stage): seconds for stage, seconds in result.timings.items()},
            )
        )
    return folder.take(shot.index, take_id)


def _record(
    board: Storyboard, plan: Sequence[PlannedShot], takes: Mapping[int, Take], film: str | None = None
) -> FilmRecord:
    """What stands for each shot: the take that is in `takes`, else what stood for it before."""
    chosen = []
    for shot in plan:
        caption = board.shots[shot.index].caption
        choice = shot.before or ChosenTake(caption=caption, take=None)
        if shot.index in takes:
            choice = ChosenTake(caption=takes[shot.index].caption, take=takes[shot.index].id)
        chosen.append(replace(choice, skipped=shot.action == "skip"))
    return FilmRecord(title=board.title, film=film, shots=tuple(chosen))


def _piece(board: Storyboard, index: int, take: Take) -> Piece:
    shot = board.shots[index]
    first, frames = shown_frames(shot, take.frames, take.inputs.fps)
    return Piece(clip=take.clip, first=first, frames=frames, name=f"shot {index + 1}")

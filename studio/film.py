"""Renders a planned storyboard take by take into a folder and makes the film of it.

plan ─► shoot: one take after the other, each kept as soon as it is done ─► assemble
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from moc_engine.config import RoutingChoice, SamplerChoice, Steering
from moc_engine.contract import (
    CancelToken,
    ContextTake,
    Renderer,
    RenderEvent,
    RenderRequest,
    RenderResult,
)
from studio import __version__
from studio.artifacts import told_plainly, write_text
from studio.exchange.contact_sheet import Panel, write_contact_sheet
from studio.exchange.mp4 import join
from studio.exchange.srt import Cue, as_srt, as_webvtt
from studio.planner import PlannedShot, TakeInputs
from studio.storyboard import Storyboard, steering
from studio.takes import FilmFolder, Take, write_take


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


def shoot(
    board: Storyboard,
    plan: Sequence[PlannedShot],
    folder: FilmFolder,
    make_renderer: Callable[[], Renderer],
    cancel: CancelToken | None = None,
) -> Generator[FilmEvent, None, dict[int, Take]]:
    """Renders what the plan says, in order; returns the takes the film is made of, by shot.

    A renderer is made only if there is something to render. A take is on disk, and in film.json,
    before its `ShotEnds` is told. Raises what the renderer raises, `RenderCancelled` included, and
    `OutputFailed`; finished takes stay.
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
        with told_plainly(folder.root):
            used[shot.index] = yield from _shoot_one(board, shot, context, folder, renderer, cancel)
            folder.write_record(_record(board, used))
        yield ShotEnds(index=shot.index, take=used[shot.index])
    return dict(sorted(used.items()))


def assemble(board: Storyboard, takes: Mapping[int, Take], folder: FilmFolder) -> Film:
    """Joins the takes' clips without re-encoding and writes subtitles, contact sheet and film.json."""
    stem = folder.root / slug(board.title)
    film = Film(
        path=stem.with_suffix(".mp4"),
        subtitles=stem.with_suffix(".srt"),
        captions=stem.with_suffix(".vtt"),
        contact_sheet=stem.with_name(f"{stem.name}-contact-sheet.png"),
        frames=sum(take.frames for take in takes.values()),
        takes=takes,
    )
    with told_plainly(folder.root):
        join(
            [take.clip for take in takes.values()], film.path, title=board.title, recipe=recipe(board, takes)
        )
        cues = _cues(board, takes)
        write_text(film.subtitles, as_srt(cues))
        write_text(film.captions, as_webvtt(cues))
        panels = [
            Panel(
                number=index + 1,
                clip=take.clip,
                caption=board.shots[index].caption,
                seconds=board.shots[index].seconds,
            )
            for index, take in takes.items()
        ]
        write_contact_sheet(panels, film.contact_sheet, title=board.title)
        folder.write_record({**_record(board, takes), "film": film.path.name})
    return film


def recipe(board: Storyboard, takes: Mapping[int, Take]) -> dict[str, object]:
    """Everything needed to make the film again: the storyboard and what each take was made from."""
    return {
        "program": f"moc-studio {__version__}",
        "storyboard": asdict(board),
        "shots": [
            {"number": index + 1, "take": take.id, "backend": take.backend, **asdict(take.inputs)}
            for index, take in takes.items()
        ],
    }


def slug(title: str) -> str:
    """A title as a file name: "The Red Kite!" -> "the-red-kite"."""
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:80] or "film"


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
        rendering = renderer.render(_request(board, shot, context, part), cancel)
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


def _request(
    board: Storyboard, shot: PlannedShot, context: Sequence[tuple[int, Take]], output: Path
) -> RenderRequest:
    inputs = shot.inputs
    steered = steering(board, shot.index)
    seen = {index for index, _ in context}
    return RenderRequest(
        shot=shot.index,
        caption=inputs.caption,
        global_caption=inputs.global_caption,
        cast=inputs.cast,
        seconds=inputs.seconds,
        fps=inputs.fps,
        size=inputs.size,
        seed=inputs.seed,
        output=output,
        context=tuple(
            ContextTake(
                id=take.id,
                shot=index,
                latents=take.latents,
                caption=take.inputs.caption,
                global_caption=take.inputs.global_caption,
                cast=take.inputs.cast,
                seconds=take.inputs.seconds,
            )
            for index, take in context
        ),
        steering=Steering(
            pins=tuple(index for index in steered.pins if index in seen),
            bans=tuple(index for index in steered.bans if index in seen),
            boosts={index: boost for index, boost in steered.boosts.items() if index in seen},
        ),
        routing=RoutingChoice(top_k=inputs.top_k),
        sampler=SamplerChoice(steps=inputs.steps, guidance=inputs.guidance),
        recipe={"program": f"moc-studio {__version__}", "take": inputs.take_id, **asdict(inputs)},
    )


def _record(board: Storyboard, takes: Mapping[int, Take]) -> dict[str, object]:
    return {
        "title": board.title,
        "film": None,
        "shots": [
            {
                "number": index + 1,
                "caption": shot.caption,
                "take": takes[index].id if index in takes else None,
            }
            for index, shot in enumerate(board.shots)
        ],
    }


def _cues(board: Storyboard, takes: Mapping[int, Take]) -> list[Cue]:
    cues = []
    start = 0.0
    for index, take in takes.items():
        end = start + take.frames / take.inputs.fps
        cues.append(Cue(start=start, end=end, text=board.shots[index].caption))
        start = end
    return cues

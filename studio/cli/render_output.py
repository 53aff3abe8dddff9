"""The output of `moc-studio render FILE`: the plan, notes, unknown words and the finished film."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Final, TextIO

from moc_engine.names import mentioned
from studio.cli import model_notes, schedule_output
from studio.cli.mixed_settings import mixed_settings
from studio.cli.progress import in_words
from studio.domain.frame_rate import rate_to_json
from studio.domain.storyboard import Storyboard, steering
from studio.service.film_folders import WrittenFilm
from studio.service.needs import RenderNeedState
from studio.service.render_checks import Problem
from studio.service.rendering import PlannedShot
from studio.service.schedules import RenderSchedule
from studio.service.unknown_words import UnknownWord
from studio.store.takes import StoredTake

MANY_WORDS: Final = 4
"""From this number of unknown words in one text, they are told together."""


def unknown_words(words: Sequence[UnknownWord], out: TextIO) -> None:
    """Prints the unknown words of each field, and its text with them underlined."""
    for (field, text), group in groupby(words, key=lambda word: (_field(word), word.text)):
        found = list(group)
        if len(found) >= MANY_WORDS:
            print(f"{field}: the model does not know {len(found)} words of this text", file=out)
            print(f"    {text}\n    {_underlines(found)}", file=out)
            continue
        for word in found:
            meant = f"; did you mean '{word.suggestion}'?" if word.suggestion else ""
            letter = f"(letter {word.start + 1})"
            print(f"{field}: the model does not know '{word.word}' {letter}{meant}", file=out)
            print(f"    {text}\n    {_underlines([word])}", file=out)


def _underlines(words: Sequence[UnknownWord]) -> str:
    marks = [" "] * max(word.end for word in words)
    for word in words:
        marks[word.start : word.end] = "^" * (word.end - word.start)
    return "".join(marks)


def plan(
    planned: Sequence[PlannedShot],
    unknown: Sequence[UnknownWord],
    out: TextIO,
    *,
    problems: Sequence[Problem] = (),
    need: RenderNeedState | None = None,
    time_known: bool = True,
    schedule: RenderSchedule,
    workers: int | None = None,
    as_json: bool,
) -> None:
    """Prints what would be rendered, the expected time, the memory needed, and what would go wrong.

    `need` is None where it is not predicted; `time_known` says whether the planned seconds mean something.
    `schedule` is that of the shots to render, with so many `workers` if they were asked for.
    """
    seconds = sum(shot.seconds for shot in planned)
    if as_json:
        _write_json(
            {
                "shots": [
                    {
                        "number": shot.index + 1,
                        "action": shot.action,
                        "reason": _reason(shot),
                        "take": shot.take,
                        "caption": shot.inputs.caption,
                        "seconds": shot.inputs.seconds,
                        "seed": shot.inputs.seed,
                        "context": [index + 1 for index in shot.context],
                        "estimated_seconds": round(shot.seconds, 2) if time_known else None,
                    }
                    for shot in planned
                ],
                "estimated_seconds": round(seconds, 2) if time_known else None,
                "schedule": asdict(schedule),
                "unknown_words": _as_data(unknown),
                "problems": [
                    {"text": str(found.text), "shots": [index + 1 for index in found.shots]}
                    for found in problems
                ],
                "memory": None if need is None else asdict(need),
            },
            out,
        )
        return
    told = {str(found.text) for found in problems}
    for shot in planned:
        reason = f"  ({_reason(shot, told)})" if _reason(shot, told) else ""
        length = f"{shot.inputs.seconds:g} s"
        print(f"{shot.index + 1:>4}  {shot.action:<7}{length:>6}  {shot.inputs.caption}{reason}", file=out)
    count = sum(shot.action == "render" for shot in planned)
    when = f", in about {in_words(seconds)}" if time_known else ""
    print(f"{count} of {len(planned)} shots to render{when}", file=out)
    if count and not time_known:
        print(model_notes.NO_ESTIMATE, file=out)
    for line in (
        *schedule_output.lines(schedule, workers),
        *(() if need is None else model_notes.need(need)),
    ):
        print(line, file=out)
    for found in problems:
        print(f"problem: {model_notes.problem(found)}", file=out)


def notes(
    board: Storyboard,
    planned: Sequence[PlannedShot],
    takes: Mapping[int, StoredTake],
    folder: Path,
    out: TextIO,
    *,
    returned: Collection[str] = (),
    most_cast: int | None = None,
    other_seed: bool = False,
) -> None:
    """Prints what may be unexpected about each shot, and about the film.

    `takes` are the chosen ones by position, `returned` the ids of shots that are back at an earlier take.
    `most_cast` is how many cast members the model can show in a shot. `other_seed`: tell how to keep takes of
    a seed that is not in the storyboard.
    """
    for shot in planned:
        for note in (
            *_about_cast(board, shot, most_cast),
            *_about_take(shot, folder, returned=shot.shot in returned, other_seed=other_seed),
            *_about_order_of_cast(board, shot, takes.get(shot.index)),
            *_about_steering(board, shot),
        ):
            print(f"shot {shot.index + 1} {note}", file=out)
    for note in mixed_settings(planned, takes):
        print(note, file=out)


def film(
    written: WrittenFilm,
    rendered: Collection[int],
    unknown: Sequence[UnknownWord],
    out: TextIO,
    *,
    as_json: bool,
) -> None:
    """Prints the film's path, or with `as_json` everything about it; `rendered` are positions of shots."""
    if not as_json:
        print(written.files.film, file=out)
        return
    first = written.clips[0][0].take.inputs
    numbers = {clip.shot.id: clip.number for clip, _ in written.clips}
    shown = {clip.take.id: clip.number for clip, _ in reversed(written.clips)}
    _write_json(
        {
            "film": str(written.files.film),
            "subtitles": str(written.files.subtitles),
            "captions": str(written.files.captions),
            "contact_sheet": str(written.files.contact_sheet),
            "frames": sum(clip.frames for clip, _ in written.clips),
            "seconds": float(sum(clip.seconds for clip, _ in written.clips)),
            "size": first.size,
            "fps": rate_to_json(first.fps),
            "shots": [
                {
                    "number": clip.number,
                    "caption": clip.take.inputs.caption,
                    "rendered": clip.number - 1 in rendered,
                    "take": clip.take.id,
                    "seed": clip.take.inputs.seed,
                    "seconds": clip.take.inputs.seconds,
                    "frames": clip.take.frames,
                    "context": [shown.get(take, numbers.get(shot)) for shot, take in clip.take.context],
                    **{kind: str(path) for kind, path in files.items()},
                    "backend": clip.take.backend,
                    "timings": dict(clip.take.timings),
                }
                for clip, files in written.clips
            ],
            "unknown_words": _as_data(unknown),
        },
        out,
    )


def _reason(shot: PlannedShot, told: Collection[str] = ()) -> str:
    """Why a shot is rendered, or what is to be known of one that is not, but for what is told elsewhere."""
    match shot.action:
        case "skip":
            return "skipped"
        case "absent":
            return "not rendered yet"
        case "render" if shot.locked:
            return "locked, but has no take of this caption yet"
        case "keep" if shot.locked:
            return "locked, though outdated" if shot.state == "outdated" else "locked"
        case _:
            return "; ".join(reason for reason in shot.reasons if reason not in told)


def _about_cast(board: Storyboard, shot: PlannedShot, most: int | None) -> list[str]:
    indices = mentioned(board.shots[shot.index].caption, board.names)
    named_here = [board.names[index] for index in sorted(indices)]
    if most is None or len(named_here) <= most or shot.action == "skip":
        return []
    return [f"may show {most} of its cast at most, without {', '.join(named_here[most:])}"]


def _about_take(shot: PlannedShot, folder: Path, *, returned: bool, other_seed: bool) -> list[str]:
    match shot.action:
        case "render":
            notes = ["is locked, but has no take of this caption yet: it is rendered"] if shot.locked else []
            if other_seed:
                seed = f"seed: {shot.inputs.seed}"
                notes.append(f"is rendered with another seed: to keep the take, write {seed} into the shot")
            return notes
        case "absent":
            return ["is not rendered yet: the film goes without it"]
        case "keep" if returned:
            return ["is back at an earlier take, the one these settings ask for"]
        case "keep" if shot.locked or shot.state == "outdated":
            state = "locked" if shot.locked else "outdated"
            though = ", though outdated" if shot.locked and shot.state == "outdated" else ""
            return [f"is {state}{though}: its take in {folder} is kept"]
        case _:
            return []


def _about_order_of_cast(board: Storyboard, shot: PlannedShot, take: StoredTake | None) -> list[str]:
    """Cast members in a kept take who had another index in the cast, or one that is another's now."""
    if shot.action != "keep" or take is None:
        return []
    now = {name.casefold(): index for index, name in enumerate(board.names)}
    displaced = [
        name
        for name, index in take.inputs.cast_indices.items()
        if now.get(name.casefold(), index) != index
        or (name.casefold() not in now and index < len(board.names))
    ]
    return [
        f"shows {name} at another position in the cast than now: later shots may take somebody else's look "
        "from it"
        for name in displaced
    ]


def _about_steering(board: Storyboard, shot: PlannedShot) -> list[str]:
    if board.shots[shot.index].skip:
        return []
    dormant = [index for index in steering(board, shot.index).dormant if index is not None]
    return [f"is steered by shot {index + 1}, which is skipped" for index in dormant]


def _field(word: UnknownWord) -> str:
    match word.field:
        case ("shots", int(index), _):
            return f"shot {index + 1}"
        case ("cast", int(index), _):
            return f"look of cast member {index + 1}"
        case _:
            return str(word.field[0])


def _as_data(words: Sequence[UnknownWord]) -> list[dict[str, object]]:
    return [{**asdict(word), "where": _field(word)} for word in words]


def _write_json(document: object, out: TextIO) -> None:
    json.dump(document, out, indent=2, ensure_ascii=False)
    out.write("\n")

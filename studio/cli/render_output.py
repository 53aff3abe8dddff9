"""What `moc-studio render` says: plans, exceptions, unknown words and the finished film."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TextIO

from studio.cli.progress import in_words
from studio.domain.film_plan import BACK, PlannedShot
from studio.domain.frame_rate import rate_to_json
from studio.domain.names import mentioned
from studio.domain.storyboard import Storyboard, steering
from studio.exchange.takes import FilmFolder, Take
from studio.jobs.estimate import Rates
from studio.service.film import Film
from studio.service.unknown_words import UnknownWord


def unknown_words(words: Sequence[UnknownWord], out: TextIO) -> None:
    """Names each word where it stands, underlined."""
    for word in words:
        place = _place(word)
        meant = f"; did you mean '{word.suggestion}'?" if word.suggestion else ""
        print(f"{place}: the model does not know '{word.word}' (letter {word.start + 1}){meant}", file=out)
        print(f"    {word.text}\n    {' ' * word.start}{'^' * (word.end - word.start)}", file=out)


def plan(
    planned: Sequence[PlannedShot],
    rates: Rates,
    unknown: Sequence[UnknownWord],
    out: TextIO,
    *,
    as_json: bool,
) -> None:
    """What would be rendered, and how long it should take."""
    asked = [shot for shot in planned if shot.action == "render"]
    seconds = sum(rates.seconds(shot.inputs) for shot in asked)
    if as_json:
        _write_json(
            {
                "shots": [
                    {
                        "number": shot.index + 1,
                        "action": shot.action,
                        "reason": shot.reason,
                        "take": shot.take,
                        "caption": shot.inputs.caption,
                        "seconds": shot.inputs.seconds,
                        "seed": shot.inputs.seed,
                        "context": [index + 1 for index, _ in shot.context],
                        "estimated_seconds": round(rates.seconds(shot.inputs), 2)
                        if shot.action == "render"
                        else 0.0,
                    }
                    for shot in planned
                ],
                "estimated_seconds": round(seconds, 2),
                "unknown_words": _as_data(unknown),
            },
            out,
        )
        return
    for shot in planned:
        reason = f"  ({shot.reason})" if shot.reason else ""
        length = f"{shot.inputs.seconds:g} s"
        print(f"{shot.index + 1:>4}  {shot.action:<7}{length:>6}  {shot.inputs.caption}{reason}", file=out)
    print(f"{len(asked)} of {len(planned)} shots to render, in about {in_words(seconds)}", file=out)


def notes(
    board: Storyboard,
    planned: Sequence[PlannedShot],
    takes: Mapping[str, Take],
    folder: FilmFolder,
    out: TextIO,
    *,
    most_cast: int | None = None,
    passing: bool = False,
) -> None:
    """What is not as one might expect.

    Takes kept though outdated, locks that hold nothing, shots left out, a cast that changed places,
    dormant steering, more of the cast than `most_cast` in a shot, and with `passing` how to keep takes of a
    seed that the storyboard does not have.
    """
    for shot in planned:
        places = mentioned(board.shots[shot.index].caption, board.names)
        there = [board.names[place] for place in sorted(places)]
        if most_cast is not None and len(there) > most_cast and shot.action != "skip":
            left_out = ", ".join(there[most_cast:])
            print(
                f"shot {shot.index + 1} may show {most_cast} of its cast at most, without {left_out}",
                file=out,
            )
        if passing and shot.action == "render":
            seed = f"seed: {shot.inputs.seed}"
            print(f"to keep the new take of shot {shot.index + 1}, write {seed} into the shot", file=out)
        number = shot.index + 1
        match shot.action, shot.reason:
            case "keep", str(reason) if reason == BACK:
                print(f"shot {number} is {reason}", file=out)
            case "keep", str(reason) if reason:
                print(f"shot {number} is {reason}: its take in {folder.root} is kept", file=out)
            case "absent", _:
                print(f"shot {number} is not rendered yet: the film goes without it", file=out)
            case "render", str(reason) if board.shots[shot.index].lock:
                print(f"shot {number} is {reason}: it is rendered", file=out)
        if shot.action == "keep" and shot.take is not None:
            for name in _displaced(takes[shot.take], board):
                print(
                    f"shot {number} shows {name} under another place in the cast than now: later shots may "
                    "take somebody else's look from it",
                    file=out,
                )
        for place in steering(board, shot.index).dormant:
            if place is not None and not board.shots[shot.index].skip:
                print(f"shot {number} is steered by shot {place + 1}, which is skipped", file=out)


def film(
    made: Film,
    planned: Sequence[PlannedShot],
    unknown: Sequence[UnknownWord],
    out: TextIO,
    *,
    as_json: bool,
) -> None:
    """The film's path, or with `as_json` everything there is to know about it."""
    if not as_json:
        print(made.path, file=out)
        return
    first = next(iter(made.takes.values())).inputs
    rendered = {shot.index for shot in planned if shot.action == "render"}
    _write_json(
        {
            "film": str(made.path),
            "subtitles": str(made.subtitles),
            "captions": str(made.captions),
            "contact_sheet": str(made.contact_sheet),
            "frames": made.frames,
            "seconds": sum(float(take.frames / take.inputs.fps) for take in made.takes.values()),
            "size": first.size,
            "fps": rate_to_json(first.fps),
            "shots": [
                {
                    "number": index + 1,
                    "caption": take.inputs.caption,
                    "rendered": index in rendered,
                    "take": take.id,
                    "seed": take.inputs.seed,
                    "seconds": take.inputs.seconds,
                    "frames": take.frames,
                    "context": [shot + 1 for shot, _ in take.context],
                    "clip": str(take.clip),
                    "latents": str(take.latents),
                    "trace": str(take.trace),
                    "backend": take.backend,
                    "timings": dict(take.timings),
                }
                for index, take in made.takes.items()
            ],
            "unknown_words": _as_data(unknown),
        },
        out,
    )


def _displaced(take: Take, board: Storyboard) -> list[str]:
    """Who in a take had another place in the cast, or one that is somebody else's now."""
    now = {name.casefold(): place for place, name in enumerate(board.names)}
    return [
        name
        for name, place in take.inputs.places.items()
        if now.get(name.casefold(), place) != place
        or (name.casefold() not in now and place < len(board.names))
    ]


def _place(word: UnknownWord) -> str:
    match word.field:
        case ("shots", int(index), _):
            return f"shot {index + 1}"
        case ("cast", int(index), _):
            return f"look of cast member {index + 1}"
        case _:
            return str(word.field[0])


def _as_data(words: Sequence[UnknownWord]) -> list[dict[str, object]]:
    return [{**asdict(word), "where": _place(word)} for word in words]


def _write_json(document: object, out: TextIO) -> None:
    json.dump(document, out, indent=2, ensure_ascii=False)
    out.write("\n")

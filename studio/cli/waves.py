"""`moc-studio eval waves`: how long several workers take for simulated films, and what their shots see."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from studio.cli.evaluation import add_json
from studio.domain.errors import WrongUse
from studio.domain.project import Project
from studio.domain.settings import Settings
from studio.domain.storyboard import MAX_SHOTS, Shot, Storyboard

if TYPE_CHECKING:
    from studio.service.rendering import PlannedRender

SECONDS: Final = (10.0, 60.0)
"""The shortest and longest render of a shot."""

WORKERS: Final = (1, 2, 4, 8, 16)


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A film by so many workers: its time, what no order falls below, and how much its shots see of what they
    see one by one.
    """

    film: str
    workers: int
    seconds: float
    at_least: float
    above: float
    waves: int
    seen: float


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "waves",
        help="how long several workers take for simulated films",
        description="Shares the shots of simulated films out among workers, as the queue does: "
        + "; ".join(f"{name}: {make.__doc__}" for name, make in FILMS.items())
        + ". Renders take 10–60 s.",
    )
    parser.add_argument("--shots", type=int, default=64, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: %(default)s")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not 1 <= args.shots <= MAX_SHOTS:
        raise WrongUse(f"--shots: must lie within 1–{MAX_SHOTS}, got {args.shots}")
    found = list(simulated(args.shots, args.seed))
    if args.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return 0
    print("film      workers  waves   time  at least  above   seen")
    for one in found:
        print(
            f"{one.film:<10}{one.workers:>7}{one.waves:>7}{one.seconds:>6.0f} s{one.at_least:>8.0f} s"
            f"{100 * one.above:>6.1f}%{100 * one.seen:>6.0f}%"
        )
    return 0


def simulated(shots: int, seed: int) -> Iterator[Simulated]:
    """Each kind of film by each number of workers."""
    from studio.service.schedules import schedule_of

    for name in FILMS:
        film, planned = simulated_film(name, shots, seed)
        for workers in WORKERS:
            found = schedule_of(film, planned, workers)
            yield Simulated(
                film=name,
                workers=workers,
                seconds=found.seconds,
                at_least=found.at_least,
                above=max(0.0, found.seconds / found.at_least - 1),
                waves=len(found.waves),
                seen=found.seen / found.to_see if found.to_see else 1.0,
            )


def simulated_film(kind: str, shots: int, seed: int) -> tuple[Project, tuple[PlannedRender, ...]]:
    """A film of a kind of `FILMS`, and the renders of all its shots."""
    from studio.service.rendering import PlannedRender

    rng = random.Random(seed)
    plain = tuple(Shot(id=f"s{nth}", caption=f"shot {nth + 1}") for nth in range(shots))
    film = FILMS[kind](plain, rng)
    planned = tuple(
        PlannedRender(
            shot=shot.id,
            index=index,
            reasons=(),
            seconds=rng.uniform(*SECONDS),
            time_known=True,
            lane="final",
        )
        for index, shot in enumerate(film.board.shots)
    )
    return film, planned


Shots = tuple[Shot, ...]


def _film(shots: Shots, settings: Settings | None = None) -> Project:
    return Project(board=Storyboard(title="Simulated", shots=shots, settings=settings or Settings()))


def _line(shots: Shots, rng: random.Random) -> Project:
    """each shot sees all before it"""
    return _film(shots)


def _bans(shots: Shots, rng: random.Random) -> Project:
    """each shot bans 97% of those before it, at random"""
    return _film(
        tuple(
            replace(shot, bans=tuple(other.id for other in shots[:nth] if rng.random() < 0.97))
            for nth, shot in enumerate(shots)
        )
    )


def _casts(shots: Shots, rng: random.Random) -> Project:
    """ten plots that do not see each other, told by turns"""
    plots = [rng.randrange(10) for _ in shots]
    return _film(
        tuple(
            replace(shot, bans=tuple(shots[n].id for n in range(nth) if plots[n] != plots[nth]))
            for nth, shot in enumerate(shots)
        )
    )


def _finished(shots: Shots, rng: random.Random) -> Project:
    """shots see what is finished, some start with the last frame of the one before, some pin one"""
    told = list(shots)
    for nth in range(1, len(shots)):
        if rng.random() < 0.3:
            told[nth] = replace(told[nth], first_frame="previous")
        elif rng.random() < 0.2:
            told[nth] = replace(told[nth], pins=(shots[rng.randrange(nth)].id,))
    return _film(tuple(told), Settings(context="finished"))


FILMS: Final[Mapping[str, Callable[[Shots, random.Random], Project]]] = {
    "line": _line,
    "bans": _bans,
    "casts": _casts,
    "finished": _finished,
}
"""Kinds of films; what is said of each tells what its shots see."""

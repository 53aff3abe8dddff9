"""`moc-studio routing`: how much of its attention each shot gave to earlier shots."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli import root
from studio.domain.project import LANES

if TYPE_CHECKING:
    from studio.domain.project import Lane
    from studio.domain.storyboard import Shot
    from studio.inspect.words import LinkWithPairs
    from studio.service.studio import Service
    from studio.store.artifacts import Artifacts
    from studio.store.takes import StoredTake

FORMATS = ("words", "json", "csv", "npz", "parquet", "html")


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "routing",
        help="show which earlier shots each shot attended to",
        description="Shows how much of its attention each shot of a rendered film gave to which earlier "
        "shot, from the routing traces. The formats csv, npz, parquet and html write a file for each shot "
        "into --out and print its path.",
    )
    parser.add_argument("film", metavar="DIR|PROJECT", help="a folder filled by 'render FILE', or a project")
    root.add_to(parser)
    parser.add_argument(
        "--lane",
        choices=LANES,
        help="of a project: its drafts, or its finals (default: those that the project works on)",
    )
    parser.add_argument("--shot", type=int, metavar="N", help="only this shot, counted from 1")
    parser.add_argument("--format", choices=FORMATS, help="default: words")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the folder for csv, npz, parquet and html files (default: here)",
    )
    parser.set_defaults(run=run)


@dataclass(frozen=True, kw_only=True)
class Film:
    """The takes a film shows by index of the shot, and the captions of all takes by id, shown or not.

    `shots` are those of the storyboard, `renamed` are ids of takes by former ones. `artifacts` holds the
    traces.
    """

    shots: tuple[Shot, ...]
    takes: Mapping[int, StoredTake]
    artifacts: Artifacts
    captions: Mapping[str, str]
    renamed: Mapping[str, str]

    @property
    def indices(self) -> dict[str, int]:
        """The index of the first shot that shows each take, by the take's id."""
        return {take.id: index for index, take in sorted(self.takes.items(), reverse=True)}


def run(args: argparse.Namespace) -> int:
    kind = _format(args)
    with opened(args) as film:
        return _tell(film, kind, args)


def _tell(film: Film, kind: str, args: argparse.Namespace) -> int:
    """Prints or writes what the traces say; returns the exit code."""
    from moc_engine.errors import TraceError
    from moc_engine.trace.trace_file import read_trace
    from studio.domain.errors import Refused, WrongUse

    if args.shot is not None and args.shot - 1 not in film.takes:
        raise WrongUse(f"--shot: {args.film} holds no take of shot {args.shot}")
    if not film.takes:
        raise Refused(f"{args.film}: no shot is rendered yet")
    failed = False
    shots: list[dict[str, object]] = []
    for index, take in sorted(film.takes.items()):
        if args.shot not in (None, index + 1):
            continue
        try:
            trace = read_trace(film.artifacts.file(take.trace, ".moc")).with_take_ids(film.renamed)
        except TraceError as error:
            failed = True
            print(f"moc-studio: shot {index + 1}: {error}", file=sys.stderr)
            continue
        match kind:
            case "words":
                _print_words(trace, index, take, film)
            case "json":
                shots.append(_as_data(trace, index, take, film))
            case _:
                print(_written(trace, index, kind, film, args.out or Path()))
    if kind == "json":
        print(json.dumps({"shots": shots}, indent=2, ensure_ascii=False))
    return 1 if failed else 0


def _format(args: argparse.Namespace) -> str:
    """The format asked for. Raises `WrongUse` for options that would be ignored."""
    from studio.domain.errors import WrongUse

    if args.json and args.format not in (None, "json"):
        raise WrongUse(f"--json and --format {args.format} contradict each other")
    kind = "json" if args.json else args.format or "words"
    if args.out is not None and kind in ("words", "json"):
        raise WrongUse(f"--out is for files; {kind} go to stdout: choose a --format such as csv or html")
    if (option := root.given(args)) and Path(args.film).is_dir():
        raise WrongUse(f"{option} is for projects, and {args.film} is a folder")
    if args.lane is not None and Path(args.film).is_dir():
        raise WrongUse(f"--lane is for projects, and {args.film} is a folder")
    return kind


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[Film]:
    """The film in a folder, or a project of the studio."""
    from studio.cli import film_studio
    from studio.domain.errors import DamagedFolder, Refused

    folder = Path(args.film)
    if not folder.is_dir():
        with root.opened(args) as service:
            yield _film(service, root.find(service, args.film), args.lane)
        return
    if not film_studio.holds_film(folder):
        raise DamagedFolder(f"{folder} holds no film: moc-studio render FILE --out {folder} makes one")
    with film_studio.opened(folder, change=False) as studio:
        if studio.project is None:
            raise Refused(f"{folder}: no shot is rendered yet")
        yield _film(studio.service, studio.project)


def _film(service: Service, project: str, lane: Lane | None = None) -> Film:
    return Film(
        shots=service.routing.shots(project),
        takes=service.routing.shown(project, lane),
        artifacts=service.artifacts,
        captions=service.routing.captions(project),
        renamed=service.routing.renamed(project),
    )


def _print_words(trace: Any, index: int, take: StoredTake, film: Film) -> None:
    from studio.inspect.words import in_words

    print(f"Shot {index + 1}: {take.caption}")
    for line in in_words(trace, take.inputs, film.indices, film.captions):
        print(f"  {line}")


def _as_data(trace: Any, index: int, take: StoredTake, film: Film) -> dict[str, object]:
    from studio.inspect.words import links_with_pairs, paragraph

    return {
        "number": index + 1,
        "caption": take.caption,
        "take": take.id,
        "words": paragraph(trace, film.indices),
        "backend": trace.backend,
        "backend_choice": trace.routing.get("backend_choice"),
        "router": trace.routing.get("router", "moc"),
        "full_attention": trace.routing.get("full_attention"),
        "own": trace.own_share(),
        "captions": trace.caption_share(),
        "links": [_link(link) for link in links_with_pairs(trace, film.indices)],
    }


def _link(link: LinkWithPairs) -> dict[str, object]:
    return {**asdict(link), "shot": None if link.shot is None else link.shot + 1}


def _written(trace: Any, index: int, kind: str, film: Film, out: Path) -> Path:
    """Writes one shot's table or page; returns its path."""
    from studio.inspect.pages import take_page
    from studio.inspect.trace_tables import FORMATS as TABLES
    from studio.store.os_errors import os_errors_as_studio_errors

    with os_errors_as_studio_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"shot-{index + 1:02}.{kind}"
        if kind == "html":
            path.write_text(take_page(f"Shot {index + 1}", trace, film.indices))
        else:
            path.write_bytes(TABLES[kind](trace))
    return path

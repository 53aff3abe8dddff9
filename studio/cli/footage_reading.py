"""How commands read footage: its options, a progress bar, and what is wrong with clips in words."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from studio.domain.errors import Interrupted, WrongUse

if TYPE_CHECKING:
    from moc_engine.training.data.footage.problems import Problem, ProblemPolicy
    from moc_engine.training.data.footage.reading_plan import FootageOptions, FootageProgress, Report

FOOTAGE = (
    "FOOTAGE is a folder, a video, or a storyboard of footage (moc-studio footage cut). Of a folder, each "
    "folder with clips is a story, its clips in the order of their names. A caption lies beside its clip: "
    "clip.txt, clip.json, clip.srt or clip.vtt; or in a metadata.jsonl or metadata.csv with file_name and "
    "caption. A style.txt is the global caption of its folder."
)


def add_options(parser: Any) -> None:
    """Adds the options of how footage is read to a parser or a group of one; `read_options` reads them."""
    parser.add_argument(
        "--size",
        metavar="WxH",
        help="the size of landscape pictures; other shapes have as many pixels (default: the model's own)",
    )
    parser.add_argument(
        "--frames",
        type=int,
        metavar="N",
        help="most frames of a shot, at the model's frame rate (default: as many as it was trained on)",
    )
    parser.add_argument(
        "--on-problem",
        action="append",
        default=[],
        metavar="[KIND=]ACTION",
        help="skip (leave the clip out), refuse (all of the footage) or keep (use the clip all the same), "
        "for every problem, or for one kind, such as black=keep; may be given several times (default: skip, "
        "but resample other rates, and use the beginning of long clips)",
    )
    parser.add_argument(
        "--captioner", metavar="NAME", help="let this plug-in write the captions that are missing"
    )
    parser.add_argument("--cut", action="store_true", help="cut videos into shots; each video is a story")
    add_cutting(parser)


def add_cutting(parser: Any) -> None:
    """Adds the options of how cuts are found."""
    from moc_engine.training.data.footage.cut_settings import SHORTEST, THRESHOLD

    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="N",
        help="how many times the change around it that of a cut must be; lower finds more cuts "
        f"(default: {THRESHOLD:g})",
    )
    parser.add_argument(
        "--shortest",
        type=float,
        default=SHORTEST,
        metavar="SECONDS",
        help=f"seconds between two cuts, at least (default: {SHORTEST:g})",
    )


def read_options(args: argparse.Namespace) -> FootageOptions:
    """The options of a parsed command line. Raises `WrongUse` naming one that is wrong."""
    from moc_engine.training.data.footage.reading_plan import FootageOptions

    check_cutting(args)
    return FootageOptions(
        size=None if args.size is None else _size(args.size),
        frames=args.frames,
        policy=_policy(args),
        captioner=args.captioner,
        cut=args.cut,
        threshold=args.threshold,
        shortest=args.shortest,
    )


def _policy(args: argparse.Namespace) -> ProblemPolicy:
    from moc_engine.training.data.footage.problems import parse_policy

    try:
        return parse_policy(args.on_problem)
    except ValueError as error:
        raise WrongUse(f"--on-problem: {error}") from error


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isascii() and width.isdecimal() and height.isascii() and height.isdecimal()):
        raise WrongUse(f"--size: must be like 832x480, got {text}")
    return int(width), int(height)


def check_cutting(args: argparse.Namespace) -> None:
    """Raises `WrongUse` naming an option of `add_cutting` that is wrong."""
    if not args.threshold > 0:
        raise WrongUse(f"--threshold: must be above 0, got {args.threshold:g}")
    if not args.shortest >= 0:
        raise WrongUse(f"--shortest: must be 0 or more, got {args.shortest:g}")


@contextmanager
def watched() -> Iterator[tuple[Report, Callable[[], None]]]:
    """A progress bar on stderr, if that is a terminal, and a function that raises after an interrupt."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from studio.cli.interrupts import cancelled_by_signals

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        cancelled_by_signals() as cancel,
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        tasks: dict[str, Any] = {}

        def report(progress: FootageProgress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage, total=progress.total)
            bar.update(tasks[progress.stage], completed=progress.done, total=progress.total)

        def check() -> None:
            if cancel.is_set():
                raise Interrupted("interrupted; what is encoded is kept, and the same command goes on")

        yield report, check


def problem_lines(problems: Sequence[Problem], policy: ProblemPolicy) -> Iterator[str]:
    """A line for each problem; those that are kept are summed up by kind."""
    words = {"skip": "skipped", "refuse": "refused"}
    kept: Counter[str] = Counter()
    examples: dict[str, Problem] = {}
    for problem in problems:
        action = policy.action(problem.kind)
        if action == "keep":
            kept[problem.kind] += 1
            examples.setdefault(problem.kind, problem)
        else:
            yield f"{words[action]}  {problem.kind}: {problem}"
    for kind, number in kept.items():
        others = f" (and {number - 1} more)" if number > 1 else ""
        yield f"used     {kind}: {examples[kind]}{others}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun, such as "2 shots"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"

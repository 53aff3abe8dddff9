"""`moc-studio footage check`, `cut`, `cache`: clips and videos made ready for training."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.evaluation import add_json
from studio.domain.errors import Interrupted, WrongUse, wrong_option

if TYPE_CHECKING:
    from moc_engine.training.data.footage.clip_needs import ClipNeeds
    from moc_engine.training.data.footage.planning import FootagePlan
    from moc_engine.training.data.footage.problems import Problem, ProblemPolicy
    from moc_engine.training.data.footage.reading_plan import FootageOptions, FootageProgress, Report

FOOTAGE = (
    "FOOTAGE is a folder, a video, or a storyboard of footage (moc-studio footage cut). Of a folder, each "
    "folder with clips is a story, its clips in the order of their names. A caption lies beside its clip: "
    "clip.txt, clip.json, clip.srt or clip.vtt; or in a metadata.jsonl or metadata.csv with file_name and "
    "caption. A style.txt is the global caption of its folder."
)


def add_to(subparsers: Any) -> None:
    footage = subparsers.add_parser("footage", help="make clips and videos ready for training")
    commands = footage.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_check(commands)
    _add_cut(commands)
    _add_cache(commands)


def _add_check(commands: Any) -> None:
    parser = commands.add_parser(
        "check",
        help="look at every clip, and name what is wrong",
        description="Looks at every frame of every clip, and names what is wrong, with file and time: what "
        "is left out of training, and what is used all the same. Exit code 1 if the footage is refused, or "
        f"nothing of it is left. {FOOTAGE}",
    )
    parser.add_argument("footage", type=Path, metavar="FOOTAGE", help="a folder, a video or a storyboard")
    parser.add_argument(
        "--model",
        metavar="DIR|HUB_ID",
        help="check for this model: its frame rate, size and longest caption (default: as Wan 2.1 1.3B)",
    )
    add_options(parser)
    add_json(parser)
    parser.set_defaults(run=run_check)


def _add_cut(commands: Any) -> None:
    parser = commands.add_parser(
        "cut",
        help="find the cuts of a video, and write them as a storyboard",
        description="Finds the cuts of a video by PySceneDetect, and writes a storyboard of footage: where "
        "each shot begins and ends, with its caption where one lies beside the video. Edit it, and give it "
        "to footage check, footage cache or train.",
    )
    parser.add_argument("video", type=Path, metavar="VIDEO", help="the video")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.yaml", help="the storyboard")
    _add_cutting(parser)
    parser.set_defaults(run=run_cut)


def _add_cache(commands: Any) -> None:
    parser = commands.add_parser(
        "cache",
        help="encode footage by a model's own encoders, for training",
        description="Checks footage, and writes what a model is trained on into a folder: the latents of "
        "every shot and the states of every caption, by the model's own encoders. What is there already is "
        "not made again, also after an interrupt or a kill; of a changed caption, its text alone. "
        f"{FOOTAGE}",
    )
    parser.add_argument("footage", type=Path, metavar="FOOTAGE", help="a folder, a video or a storyboard")
    parser.add_argument("--model", required=True, metavar="DIR|HUB_ID", help="the model to be trained")
    parser.add_argument("--out", type=Path, required=True, metavar="CACHE", help="the folder of the cache")
    parser.add_argument("--device", metavar="NAME", help="such as cuda or cpu (default: the best there is)")
    parser.add_argument("--offline", action="store_true", help="do not ask the hub")
    add_options(parser)
    add_json(parser)
    parser.set_defaults(run=run_cache)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of how footage is read; `read_options` reads them."""
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
    _add_cutting(parser)


def _add_cutting(parser: argparse.ArgumentParser) -> None:
    from moc_engine.training.data.footage.cuts import SHORTEST, THRESHOLD

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

    _check_cutting(args)
    return FootageOptions(
        size=None if args.size is None else _size(args.size),
        frames=args.frames,
        policy=_policy(args),
        captioner=args.captioner,
        cut=args.cut,
        threshold=args.threshold,
        shortest=args.shortest,
    )


def run_check(args: argparse.Namespace) -> int:
    from moc_engine.errors import FootageError
    from moc_engine.training.data.footage.reading_plan import plan_of

    options = read_options(args)
    needs = _needs(args.model, options)
    with _watched() as (report, check):
        plan = plan_of(args.footage, needs, options, report=report, check=check)
    if args.json:
        print(json.dumps(_as_json(plan, options.policy), indent=2, ensure_ascii=False))
    else:
        print("\n".join([*_lines(plan.problems, options.policy), *_summary(plan, needs)]))
    try:
        plan.checked(options.policy)
    except FootageError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def run_cut(args: argparse.Namespace) -> int:
    from moc_engine.training.data.footage.clip_captions import caption_beside, caption_of_piece
    from moc_engine.training.data.footage.cuts import detect_cuts
    from moc_engine.training.data.footage.storyboard import (
        SUFFIXES,
        FootageStoryboard,
        StoryboardShot,
        write_storyboard,
    )

    _check_cutting(args)
    if args.out.suffix.lower() not in SUFFIXES:
        raise WrongUse(f"--out: must end in .yaml, got {args.out}")
    if args.out.exists():
        raise WrongUse(f"--out: {args.out} exists already; choose another name")
    if not args.video.is_file():
        raise WrongUse(f"{args.video}: there is no such file")
    with _watched() as (report, check):

        def told(done: float, whole: float | None) -> None:
            check()
            report(_seconds_read(done, whole))

        cuts = detect_cuts(args.video, threshold=args.threshold, shortest=args.shortest, report=told)
    video = args.video.absolute()
    shots = [
        StoryboardShot(
            source=video,
            start=cut.start_seconds,
            end=cut.end_seconds,
            caption=(
                caption_beside(video)
                if len(cuts) == 1
                else caption_of_piece(video, cut.start_seconds, cut.end_seconds)
            ),
        )
        for cut in cuts
    ]
    write_storyboard(args.out, FootageStoryboard(title=args.video.stem, shots=tuple(shots)))
    missing = sum(1 for shot in shots if not shot.caption)
    print(_count(len(shots), "shot") + (f", {missing} without a caption" if missing else ""), file=sys.stderr)
    print(args.out)
    return 0


def run_cache(args: argparse.Namespace) -> int:
    from moc_engine.training.data.footage.caching import cache_footage

    options = read_options(args)
    with _watched() as (report, check):
        try:
            made = cache_footage(
                args.footage,
                args.model,
                args.out,
                options=options,
                device=args.device,
                report=report,
                check=check,
            )
        except ValueError as error:
            raise wrong_option(error) from error
    for line in _lines(made.problems, options.policy):
        print(line, file=sys.stderr)
    if args.json:
        record = {
            "cache": str(args.out),
            "stories": made.stories,
            "shots": made.shots,
            "encoded_shots": made.made_latents,
            "encoded_captions": made.made_states,
            "problems": [_problem_json(problem, options.policy) for problem in made.problems],
        }
        print(json.dumps(record, indent=2, ensure_ascii=False))
        return 0
    print(
        f"{_count(made.shots, 'shot')} in {_count(made.stories, 'story', 'stories')}; encoded now: "
        f"{_count(made.made_latents, 'shot')}, {_count(made.made_states, 'caption')}",
        file=sys.stderr,
    )
    print(args.out)
    return 0


def _needs(model: str | None, options: FootageOptions) -> ClipNeeds:
    from dataclasses import replace

    from moc_engine.models.finding import find_here
    from moc_engine.training.data.footage.clip_needs import ClipNeeds, checked, needs_of

    try:
        if model is not None:
            return needs_of(find_here(model), size=options.size, frames=options.frames)
        usual = ClipNeeds()
        return checked(replace(usual, size=options.size or usual.size, frames=options.frames or usual.frames))
    except ValueError as error:
        raise wrong_option(error) from error


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


def _check_cutting(args: argparse.Namespace) -> None:
    if not args.threshold > 0:
        raise WrongUse(f"--threshold: must be above 0, got {args.threshold:g}")
    if not args.shortest >= 0:
        raise WrongUse(f"--shortest: must be 0 or more, got {args.shortest:g}")


@contextmanager
def _watched() -> Iterator[tuple[Report, Callable[[], None]]]:
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


def _seconds_read(done: float, whole: float | None) -> FootageProgress:
    from moc_engine.training.data.footage.reading_plan import FootageProgress

    return FootageProgress(stage="check", done=int(done), total=max(1, round(whole or done)))


def _lines(problems: Sequence[Problem], policy: ProblemPolicy) -> Iterator[str]:
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


def _summary(plan: FootagePlan, needs: ClipNeeds) -> Iterator[str]:
    sizes = Counter(story.size for story in plan.stories for _ in story.shots)
    frames = sum(shot.frames for story in plan.stories for shot in story.shots)
    shown = ", ".join(f"{width}×{height} ({shots})" for (width, height), shots in sizes.most_common())
    yield (
        f"{plan.shots} of {_count(plan.clips, 'clip')} can be trained on, in "
        f"{_count(len(plan.stories), 'story', 'stories')}: {frames / needs.rate:.1f} s"
        + (f" at {shown}" if shown else "")
    )


def _as_json(plan: FootagePlan, policy: ProblemPolicy) -> dict[str, Any]:
    return {
        "clips": plan.clips,
        "shots": plan.shots,
        "stories": [
            {
                "name": story.name,
                "size": list(story.size),
                "style": story.style,
                "shots": [
                    {
                        "file": str(shot.clip.file),
                        "start": shot.start,
                        "frames": shot.frames,
                        "caption": shot.clip.caption,
                    }
                    for shot in story.shots
                ],
            }
            for story in plan.stories
        ],
        "problems": [_problem_json(problem, policy) for problem in plan.problems],
    }


def _problem_json(problem: Problem, policy: ProblemPolicy) -> dict[str, Any]:
    return {
        "kind": problem.kind,
        "action": policy.action(problem.kind),
        "file": str(problem.file),
        "start": problem.start,
        "text": problem.text,
    }


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"

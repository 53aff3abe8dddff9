"""`moc-studio footage check`, `cut`, `cache`: clips and videos made ready for training."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.evaluation import add_json
from studio.cli.footage_reading import (
    FOOTAGE,
    add_cutting,
    add_options,
    check_cutting,
    counted,
    problem_lines,
    read_options,
    watched,
)
from studio.domain.errors import WrongUse, wrong_option

if TYPE_CHECKING:
    from moc_engine.training.data.footage.clip_needs import ClipNeeds
    from moc_engine.training.data.footage.planning import FootagePlan
    from moc_engine.training.data.footage.problems import Problem, ProblemPolicy
    from moc_engine.training.data.footage.reading_plan import FootageOptions, FootageProgress


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
    add_cutting(parser)
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


def run_check(args: argparse.Namespace) -> int:
    from moc_engine.errors import FootageError
    from moc_engine.training.data.footage.reading_plan import plan_of

    options = read_options(args)
    needs = _needs(args.model, options)
    with watched() as (report, check):
        plan = plan_of(args.footage, needs, options, report=report, check=check)
    if args.json:
        print(json.dumps(_as_json(plan, options.policy), indent=2, ensure_ascii=False))
    else:
        print("\n".join([*problem_lines(plan.problems, options.policy), *_summary(plan, needs)]))
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

    check_cutting(args)
    if args.out.suffix.lower() not in SUFFIXES:
        raise WrongUse(f"--out: must end in .yaml, got {args.out}")
    if args.out.exists():
        raise WrongUse(f"--out: {args.out} exists already; choose another name")
    if not args.video.is_file():
        raise WrongUse(f"{args.video}: there is no such file")
    with watched() as (report, check):

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
    print(
        counted(len(shots), "shot") + (f", {missing} without a caption" if missing else ""), file=sys.stderr
    )
    print(args.out)
    return 0


def run_cache(args: argparse.Namespace) -> int:
    from moc_engine.training.data.footage.caching import cache_footage

    options = read_options(args)
    with watched() as (report, check):
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
    for line in problem_lines(made.problems, options.policy):
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
        f"{counted(made.shots, 'shot')} in {counted(made.stories, 'story', 'stories')}; encoded now: "
        f"{counted(made.made_latents, 'shot')}, {counted(made.made_states, 'caption')}",
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


def _seconds_read(done: float, whole: float | None) -> FootageProgress:
    from moc_engine.training.data.footage.reading_plan import FootageProgress

    return FootageProgress(stage="check", done=int(done), total=max(1, round(whole or done)))


def _summary(plan: FootagePlan, needs: ClipNeeds) -> Iterator[str]:
    sizes = Counter(story.size for story in plan.stories for _ in story.shots)
    frames = sum(shot.frames for story in plan.stories for shot in story.shots)
    shown = ", ".join(f"{width}×{height} ({shots})" for (width, height), shots in sizes.most_common())
    yield (
        f"{plan.shots} of {counted(plan.clips, 'clip')} can be trained on, in "
        f"{counted(len(plan.stories), 'story', 'stories')}: {frames / needs.rate:.1f} s"
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

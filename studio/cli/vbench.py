"""`moc-studio eval vbench`: VBench's dimensions of films, and measures that need no weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli import root, routing
from studio.cli.evaluation import add_json, add_stories, print_settings, progress, without_nan
from studio.domain.errors import BadRecipe, DamagedClip, WrongUse, wrong_option
from studio.domain.project import LANES

if TYPE_CHECKING:
    from moc_engine.evaluation.vbench.definitions import Floats
    from moc_engine.evaluation.vbench.film import FilmScores
    from moc_engine.evaluation.vbench.shots import Shot
    from moc_engine.trace.record import Portraits
    from studio.domain.storyboard import Shot as StoryboardShot
    from studio.store.takes import StoredTake

NEEDS_TAKES = "needs the takes: name the film's folder or a project in place of the MP4 file"


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "vbench",
        help="VBench's dimensions of films, shot by shot, and measures that need no weights",
        description="Measures VBench's dimensions for single clips in each shot of a film, never over a cut: "
        "a film of moc-studio (.mp4) is cut by its recipe, any other MP4 file is one shot, and of a film's "
        "folder or a project the frames are measured that its cut shows, or with --whole-takes the takes of "
        "all shots in full. Temporal flickering needs no weights. The other dimensions are computed by your "
        "own VBench, whose Python --vbench-python names, with the weights in $VBENCH_CACHE_DIR or "
        "~/.cache/vbench; what is not there is named, and nothing is downloaded. Beside them stand measures "
        "of our own, which are not VBench's and need no weights. With --truth these are compared with drawn "
        "stories whose faults are known.",
    )
    parser.add_argument("films", nargs="*", metavar="FILM.mp4|DIR|PROJECT", help="what to measure")
    root.add_to(parser)
    parser.add_argument("--lane", choices=LANES, help="of a project: its drafts, or its finals")
    parser.add_argument(
        "--whole-takes",
        action="store_true",
        help="of a folder or a project: trimmed and skipped shots in full, too",
    )
    parser.add_argument(
        "--vbench-python", type=Path, metavar="PATH", help="the Python of an environment that has vbench"
    )
    parser.add_argument(
        "--truth", action="store_true", help="rank correlations of our own measures with known faults"
    )
    add_stories(parser, stories=24)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.truth:
        if args.films or args.vbench_python is not None:
            raise WrongUse("--truth draws its own stories: name no film and no --vbench-python")
        return _run_truth(args)
    if not args.films:
        raise WrongUse("name a film to measure, or --truth")
    for film in args.films:
        _check(film, args)
    measured = {film: _measure(film, args) for film in args.films}
    if args.json:
        films = [{"film": film, **asdict(scores)} for film, scores in measured.items()]
        print(json.dumps({"films": films}, indent=2, ensure_ascii=False))
        return 0
    for film, scores in measured.items():
        print("\n".join(_lines(film, scores)))
    return 0


def _check(film: str, args: argparse.Namespace) -> None:
    """Raises `WrongUse` for a file that is not there, and for options that would be ignored."""
    path = Path(film)
    if path.suffix.lower() == ".mp4" and not path.is_file():
        raise WrongUse(f"{film}: there is no such file")
    if args.lane is not None and path.exists():
        raise WrongUse(f"--lane is for projects, and {film} is none")
    if args.whole_takes and path.is_file():
        raise WrongUse(f"--whole-takes is for folders and projects, and {film} is a file")


def _measure(film: str, args: argparse.Namespace) -> FilmScores:
    from moc_engine.evaluation.vbench.dimensions import cache_folder
    from moc_engine.evaluation.vbench.film import measure_film

    with ExitStack() as files:
        if Path(film).is_file():
            shots, portraits = shots_of(Path(film)), None
        else:
            opened = files.enter_context(routing.opened(argparse.Namespace(**{**vars(args), "film": film})))
            measured = {
                at: take
                for at, take in sorted(opened.takes.items())
                if args.whole_takes or not opened.shots[at].skip
            }
            if not measured:
                raise WrongUse(f"{film}: no shot is rendered yet")
            shots = [
                _taken(
                    files.enter_context(opened.artifacts.file(take.clip, ".mp4").local()),
                    f"shot {at + 1}",
                    None if args.whole_takes else (opened.shots[at], take.inputs.fps),
                )
                for at, take in measured.items()
            ]
            portraits = list(_portraits(list(measured.values()), opened))
        try:
            scores = measure_film(shots, cache=cache_folder(), python=args.vbench_python, portraits=portraits)
        except ValueError as error:
            raise DamagedClip(f"{film}: {error}") from error
    if portraits is None:
        return replace(scores, not_measured={"cast_consistency": NEEDS_TAKES, **scores.not_measured})
    return scores


def shots_of(film: Path) -> list[Shot]:
    """The shots of a film by its recipe; the whole of a clip that has none.

    Raises `BadRecipe` for a recipe that cannot be read or does not fit the film.
    """
    from moc_engine.evaluation.vbench.shots import Shot
    from studio.exchange.mp4 import recipe_in
    from studio.exchange.recipe import read_recipe

    whole = _whole(film, "clip")
    try:
        takes = read_recipe(recipe_in(film)).takes
    except BadRecipe as error:
        if error.message.code != "recipe-missing":
            raise
        return [whole]
    told = sum(take.frames for take in takes)
    if told != whole.frames:
        raise BadRecipe(
            f"{film} has {whole.frames} frames and its recipe {told}, so its cuts are not known; "
            "measure its shots as clips"
        )
    shots, first = [], 0
    for number, take in enumerate(takes, start=1):
        shots.append(Shot(name=f"shot {number}", clip=film, first=first, frames=take.frames))
        first += take.frames
    return shots


def _whole(clip: Path, name: str) -> Shot:
    from moc_engine.evaluation.vbench.shots import Shot
    from studio.store.clip_file import frame_count, open_clip

    with open_clip(clip) as (container, track):
        return Shot(name=name, clip=clip, first=0, frames=frame_count(container, track))


def _taken(clip: Path, name: str, shown: tuple[StoryboardShot, Fraction] | None) -> Shot:
    """The frames of a take's clip that a shot of the storyboard shows at a frame rate; None: all of them."""
    from studio.domain.shown_frames import shown_frames

    whole = _whole(clip, name)
    if shown is None:
        return whole
    shot, fps = shown
    first, frames = shown_frames(shot, whole.frames, fps)
    return replace(whole, first=first, frames=frames)


def _portraits(takes: Sequence[StoredTake], film: routing.Film) -> Iterator[Mapping[str, Floats]]:
    """The cast's portraits in each take, trimmed or not: those of its trace, or by the embedded model, of its
    own takes."""
    from moc_engine.trace.trace_file import read_trace
    from studio.store.model_identity import ANIMATIC

    read: Callable[[StoredTake], Mapping[str, Floats]] | None = None
    for take in takes:
        trace = read_trace(film.artifacts.file(take.trace, ".moc"))
        if trace.portraits is not None:
            yield of_model(trace.portraits, take.inputs.model)
        elif take.inputs.model.startswith(f"{ANIMATIC}@"):
            read = read or _reader(film)
            yield read(take)
        else:
            yield {}


def of_model(found: Portraits, model: str) -> Mapping[str, Floats]:
    """Portraits by name and model, since those of two models cannot be compared."""
    return {f"{name} by {model}": vector for name, vector in zip(found.names, found.vectors, strict=True)}


def _reader(film: routing.Film) -> Callable[[StoredTake], Mapping[str, Floats]]:
    """A function that computes portraits in a take of the embedded model."""
    from moc_engine.model_index import EMBEDDED
    from moc_engine.models.loading import load_backbone
    from moc_engine.render.latents_file import read_latents
    from moc_engine.render.portraits import portraits

    backbone = load_backbone(EMBEDDED, "cpu")

    def read(take: StoredTake) -> Mapping[str, Floats]:
        inputs = take.inputs
        with film.artifacts.file(take.latents, ".safetensors").local() as path:
            latents, _ = read_latents(path.read_bytes())
        found = portraits(
            backbone,
            latents,
            global_caption=inputs.global_caption,
            caption=inputs.caption,
            cast=inputs.cast,
        )
        return {portrait.name: portrait.vector.double().numpy() for portrait in found}

    return read


def _lines(film: str, scores: FilmScores) -> Iterator[str]:
    """A table of the shots, their means, what is compared across cuts, and what was not measured."""
    yield film
    theirs, own = tuple(scores.vbench), tuple(scores.own)
    yield f"{'':12}{'':>8}" + "".join(f"{_head(name)[0]:>13}" for name in (*theirs, *own))
    yield f"{'':12}{'frames':>8}" + "".join(f"{_head(name)[1]:>13}" for name in (*theirs, *own))
    for shot in scores.shots:
        if shot.vbench:
            cells = [*(shot.vbench[name] for name in theirs), *(shot.own[name] for name in own)]
            yield f"{shot.name:12}{shot.frames:>8}" + "".join(f"{_cell(value):>13}" for value in cells)
        else:
            yield f"{shot.name:12}{shot.frames:>8}   too short"
    means = (*scores.vbench.values(), *scores.own.values())
    yield f"{'mean':12}{'':>8}" + "".join(f"{_cell(value):>13}" for value in means)
    for name, value in scores.across_cuts.items():
        yield f"across cuts, {name.replace('_', ' ')}: {value:.4f}"
    yield "By VBench's definitions: " + (", ".join(name.replace("_", " ") for name in theirs) or "none")
    yield "Of our own, not VBench's: " + ", ".join(
        name.replace("_", " ") for name in (*own, *scores.across_cuts)
    )
    for name, reason in scores.not_measured.items():
        yield f"not measured: {name.replace('_', ' ')} {reason}"


def _head(name: str) -> tuple[str, str]:
    first, _, second = name.partition("_")
    return first, second.replace("_", " ")


def _cell(value: float | bool) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:.4f}"


def _run_truth(args: argparse.Namespace) -> int:
    from moc_engine.evaluation.generation.settings import EvaluationSettings
    from moc_engine.evaluation.vbench.truth import agreements
    from moc_engine.model_index import EMBEDDED
    from moc_engine.models.loading import load_backbone

    sizes = {name: getattr(args, name) for name in ("stories", "shots", "cast", "tokens", "seed")}
    try:
        evaluation = EvaluationSettings(**sizes)
    except ValueError as error:
        raise wrong_option(error) from error
    with progress(evaluation.stories) as report:
        found = agreements(load_backbone(EMBEDDED, "cpu"), evaluation, report=report)
    if args.json:
        figures = [asdict(agreement) for agreement in found]
        print(json.dumps({"settings": sizes, "figures": without_nan(figures)}, indent=2))
        return 0
    print_settings(sizes)
    for one in found:
        value = one.correlation
        interval = f"{value.low:.3f}–{value.high:.3f}"
        measure = one.measure.replace("_", " ")
        print(f"{measure:20} {value.value:.3f}  ({interval}, {one.cases} cases)  {one.truth}")
    return 0

"""`moc-studio eval report`: every experiment on the model's memory, as plots and a page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import StudioError, WrongUse

if TYPE_CHECKING:
    from moc_engine.evaluation.experiments import Experiment
    from moc_engine.evaluation.report import Result

GROUPS = ("budget", "absence", "ablation", "retrained")


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "report",
        help="routers, budgets, absences and ablations as plots and a page",
        description="Runs the experiments that DIR does not hold as they are asked for, and draws them: "
        "report.html, by-budget.png, by-absence.png. It may be stopped and started again.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument(
        "--stories", type=int, default=40, metavar="N", help="stories an experiment (default: 40)"
    )
    parser.add_argument(
        "--long-stories", type=int, default=10, metavar="N", help="stories of 32 shots (default: 10)"
    )
    parser.add_argument("--only", choices=GROUPS, help="these experiments alone")
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="a model trained otherwise, to be set beside it; may be given several times",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.artifacts import told_plainly
    from studio.model_identity import identify

    if find_spec("matplotlib") is None:
        raise StudioError(f"the report needs matplotlib: {sys.executable} -m pip install -e '.[train]'")
    from moc_engine.evaluation.report import write

    experiments = _experiments(args)
    settings = {experiment.key: _settings(experiment, args.model) for experiment in experiments}
    store = args.out / "results.json"
    with told_plainly(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        kept = _read(store)
        known = {key: found for key, found in kept.items() if found["settings"] == settings.get(key)}
        missing = [e for e in experiments if args.only in (None, e.group) and e.key not in known]
        for experiment, figures in _examined(missing, args.model):
            known[experiment.key] = {"settings": settings[experiment.key], "figures": figures}
            _write(store, {**kept, **known})
        results = [_result(e, known[e.key]) for e in experiments if e.key in known]
        print(write(results, args.out, model=identify(args.model and str(args.model))))
    return 0


def _experiments(args: argparse.Namespace) -> list[Experiment]:
    from moc_engine.animatic.family import AnimaticFamily
    from moc_engine.evaluation.experiments import experiments

    retrained: dict[str, Path] = {}
    for text in args.also:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise WrongUse(f"--also: NAME=DIR is wanted, got '{text}'")
        retrained[name] = Path(folder)
    try:
        return list(
            experiments(
                AnimaticFamily.routing,
                AnimaticFamily.sampler,
                stories=args.stories,
                long_stories=args.long_stories,
                retrained=retrained,
            )
        )
    except ValueError as error:
        raise WrongUse(f"--{str(error).replace('_', '-')}") from error


def _settings(experiment: Experiment, model: Path | None) -> dict[str, Any]:
    """All that decides an experiment's figures, as it is read back from a file."""
    from studio.model_identity import identify

    folder = experiment.model or model
    name = None if folder is None else str(folder)
    settings = {**asdict(experiment.examination), "model": identify(name)}
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _examined(
    experiments: Sequence[Experiment], model: Path | None
) -> Iterator[tuple[Experiment, dict[str, Any]]]:
    """The experiments one after the other, each with its figures."""
    from moc_engine.evaluation.examination import examine_in_processes
    from moc_engine.machine import cores
    from studio.model_identity import EMBEDDED

    with _progress(len(experiments)) as step:
        for experiment in experiments:
            found = examine_in_processes(
                experiment.model or model or EMBEDDED,
                experiment.examination,
                processes=cores(),
                report=step(experiment),
            )
            yield experiment, {name: asdict(figure) for name, figure in found.figures().items()}


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Experiment], Callable[[int], None]]]:
    """A bar for all experiments; what it yields begins the next one and tells how to report on it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("experiments", total=total)
        begun = 0

        def step(experiment: Experiment) -> Callable[[int], None]:
            nonlocal begun
            before, stories = begun, experiment.examination.stories
            begun += 1
            bar.update(task, description=experiment.key)
            return lambda done: bar.update(task, completed=before + done / stories)

        yield step


def _read(store: Path) -> dict[str, Any]:
    """What was found so far; nothing where the file is damaged."""
    try:
        return dict(json.loads(store.read_bytes())["results"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _write(store: Path, known: dict[str, Any]) -> None:
    from studio.artifacts import write_text

    write_text(store, json.dumps({"results": known}, indent=1) + "\n")


def _result(experiment: Experiment, found: dict[str, Any]) -> Result:
    from moc_engine.evaluation.outcomes import Figure
    from moc_engine.evaluation.report import Result

    figures = {}
    for name, figure in found["figures"].items():
        distances = {int(d): (float(mean), int(n)) for d, (mean, n) in figure["by_distance"].items()}
        figures[name] = Figure(**{**figure, "by_distance": distances})
    return Result(group=experiment.group, name=experiment.name, settings=found["settings"], figures=figures)

"""`moc-studio eval report`: every experiment on the model's memory, as plots and a page."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moc_engine.evaluation.experiments import Experiment
    from moc_engine.evaluation.report import Result


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "report",
        help="routers, budgets, absences and ablations as plots and a page",
        description="Runs the experiments that DIR does not hold yet for this model, and draws them all: "
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
    parser.add_argument("--only", choices=["budget", "absence", "ablation"], help="these experiments alone")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from moc_engine.animatic.family import AnimaticFamily
    from moc_engine.evaluation.examination import examine_in_processes
    from moc_engine.evaluation.experiments import experiments
    from moc_engine.machine import cores
    from studio.artifacts import told_plainly
    from studio.errors import StudioError, WrongUse
    from studio.model_identity import EMBEDDED, identify

    if find_spec("matplotlib") is None:
        raise StudioError(f"the report needs matplotlib: {sys.executable} -m pip install -e '.[train]'")
    from moc_engine.evaluation.report import write

    model = identify(args.model and str(args.model))
    store = args.out / "results.json"
    try:
        wanted = list(
            experiments(
                AnimaticFamily.routing,
                AnimaticFamily.sampler,
                stories=args.stories,
                long_stories=args.long_stories,
            )
        )
    except ValueError as error:
        raise WrongUse(f"--{error}") from error
    console = Console(stderr=True)
    with told_plainly(args.out), Progress(console=console, disable=not console.is_terminal) as bar:
        args.out.mkdir(parents=True, exist_ok=True)
        known = _read(store, model)
        missing = [e for e in wanted if args.only in (None, e.group) and not _is_known(e, known)]
        total = bar.add_task("experiments", total=len(missing))
        for experiment in missing:
            task = bar.add_task(experiment.key, total=experiment.examination.stories)
            found = examine_in_processes(
                args.model or EMBEDDED,
                experiment.examination,
                processes=cores(),
                report=lambda done, task=task: bar.update(task, completed=done),  # type: ignore[misc]
            )
            figures = {name: asdict(figure) for name, figure in found.figures().items()}
            known[experiment.key] = json.loads(
                json.dumps({"settings": experiment.settings(), "figures": figures})
            )
            _write(store, model, known)
            bar.remove_task(task)
            bar.advance(total)
        order = [e for e in wanted if e.key in known and _is_known(e, known)]
        print(write([_result(e, known[e.key]) for e in order], args.out, model=model))
    return 0


def _read(store: Path, model: str) -> dict[str, Any]:
    """What was found for this model; nothing where the file is of another or damaged."""
    try:
        document = json.loads(store.read_bytes())
        return dict(document["results"]) if document["model"] == model else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _write(store: Path, model: str, known: dict[str, Any]) -> None:
    from studio.artifacts import write_text

    write_text(store, json.dumps({"model": model, "results": known}, indent=1) + "\n")


def _is_known(experiment: Experiment, known: dict[str, Any]) -> bool:
    found = known.get(experiment.key)
    return found is not None and found["settings"] == json.loads(json.dumps(experiment.settings()))


def _result(experiment: Experiment, found: dict[str, Any]) -> Result:
    from moc_engine.evaluation.outcomes import Figure
    from moc_engine.evaluation.report import Result

    figures = {}
    for name, figure in found["figures"].items():
        distances = {int(d): (float(mean), int(n)) for d, (mean, n) in figure["by_distance"].items()}
        figures[name] = Figure(**{**figure, "by_distance": distances})
    return Result(group=experiment.group, name=experiment.name, settings=found["settings"], figures=figures)

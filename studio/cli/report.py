"""`moc-studio eval report`: all experiments on the model's memory, as plots and a page."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.evaluation import add_model
from studio.domain.errors import DamagedFolder, StudioError, WrongUse, wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.reports.experiments import Experiment
    from moc_engine.evaluation.reports.report import Result

GROUPS = ("budget", "absence", "outer", "ablation", "retrained", "reading", "trained", "trained-long")
COMPARISONS = ("budget", "absence", "trained", "trained-long")
"""The experiments that compare routers."""


def add_to(kinds: Any) -> None:
    from moc_engine.evaluation.generation.methods import method_names

    parser = kinds.add_parser(
        "report",
        help="routers, budgets, absences and ablations as plots and a page",
        description="Runs the experiments whose results are not yet in DIR and draws all of them: "
        "report.html, by-budget.png, by-absence.png, by-length.png. It can be stopped and started again. "
        "Results of other weights or of another version of the program are not reused.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_model(parser)
    parser.add_argument(
        "--stories", type=int, default=40, metavar="N", help="stories per experiment (default: 40)"
    )
    parser.add_argument(
        "--long-stories",
        type=int,
        default=10,
        metavar="N",
        help="stories of 32 shots; of 64, 128 and 256 shots a half, a quarter and an eighth of it, at least "
        "two (default: 10)",
    )
    parser.add_argument(
        "--only",
        choices=GROUPS,
        help="run only these experiments: routers at several budgets, or in stories of 32 shots (absence); "
        "stories of up to 256 shots with and without the outer loop over shots; ablations; other weights "
        "(retrained); weights read with MoC and densely (reading)",
    )
    parser.add_argument(
        "--router",
        action="append",
        choices=method_names(),
        help="run only the experiments that compare routers, and of them those of this one; may be given "
        "several times (default: all, those of plug-ins too)",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        action="append",
        metavar="N",
        help="of the experiments at several budgets, run only those with N chunks; may be repeated",
    )
    parser.add_argument(
        "--trained",
        action="append",
        default=[],
        metavar="ROUTER=DIR",
        help="compare this method, on weights that were trained with it; may be given several times",
    )
    parser.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="another model to compare with, and to read with MoC and densely; may be given several times",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.store.model_identity import identify
    from studio.store.os_errors import os_errors_as_studio_errors

    if find_spec("matplotlib") is None:
        raise StudioError(f"the report needs matplotlib: {sys.executable} -m pip install 'moc-studio[train]'")
    from moc_engine.evaluation.reports.report import write

    model = identify(args.model and str(args.model))
    keyed = [(experiment, _key(experiment, args.model)) for experiment in _experiments(args)]
    store = args.out / "results.json"
    with os_errors_as_studio_errors(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
        found = _read(store)
        missing = {
            key: experiment for experiment, key in keyed if _asked_for(experiment, args) and key not in found
        }
        for key, figures in _evaluated(missing, args.model):
            found[key] = figures
            _write(store, found)
        left = len(found.keys() - {key for _, key in keyed})
        if left:
            print(
                f"{left} results in {store} are not used: other settings, weights or program", file=sys.stderr
            )
        results = [_result(experiment, found[key]) for experiment, key in keyed if key in found]
        print(write(results, args.out, model=model))
    return 0


def _asked_for(experiment: Experiment, args: argparse.Namespace) -> bool:
    """Whether an experiment is to be run."""
    from moc_engine.evaluation.generation.methods import UNBUDGETED

    if args.router is not None:
        compared = experiment.group in COMPARISONS
        if not compared or experiment.settings.generation.router not in args.router:
            return False
    if args.top_k is not None and experiment.group == "budget":
        generation = experiment.settings.generation
        if generation.router not in UNBUDGETED and generation.routing.top_k not in args.top_k:
            return False
    return args.only in (None, experiment.group)


def _experiments(args: argparse.Namespace) -> list[Experiment]:
    from moc_engine.evaluation.generation.methods import budgeted_methods
    from moc_engine.evaluation.reports.experiments import experiments
    from moc_engine.model_index import EMBEDDED
    from moc_engine.models.animatic.family import AnimaticFamily
    from moc_engine.ops.routers.registry import learns
    from moc_engine.ops.routers.weights import learned_routers

    retrained = _named_folders("--also: expected NAME=DIR", args.also)
    trained = _named_folders("--trained: expected ROUTER=DIR", args.trained)
    learned = learned_routers(args.model or EMBEDDED)
    methods = [name for name in budgeted_methods() if name in learned or not learns(name)]
    try:
        return list(
            experiments(
                AnimaticFamily.routing,
                AnimaticFamily.sampler,
                stories=args.stories,
                long_stories=args.long_stories,
                methods=methods,
                retrained=retrained,
                trained=trained,
            )
        )
    except ValueError as error:
        raise wrong_option(error) from error


def _named_folders(expected: str, texts: Sequence[str]) -> dict[str, Path]:
    """The folders of an option whose values are NAME=DIR; `expected` says so."""
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise WrongUse(f"{expected}, got '{text}'")
        folders[name] = Path(folder)
    return folders


def _key(experiment: Experiment, model: Path | None) -> str:
    """Everything an experiment's results depend on, including the program, as a JSON document."""
    from moc_engine.model_index import EMBEDDED
    from moc_engine.ops.routers.weights import FILE as ROUTERS_FILE
    from studio.store.model_identity import identify

    folder = experiment.model or model
    name = None if folder is None else str(folder)
    settings = {**asdict(experiment.settings), "model": identify(name), "program": _program()}
    learned = (folder or EMBEDDED) / ROUTERS_FILE
    if learned.is_file():
        settings["learned"] = hashlib.sha256(learned.read_bytes()).hexdigest()[:12]
    return json.dumps(settings, sort_keys=True)


@cache
def _program() -> str:
    """A digest of the engine's modules."""
    import moc_engine

    digest = hashlib.sha256()
    for module in sorted(Path(moc_engine.__file__).parent.rglob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:12]


def _evaluated(
    experiments: Mapping[str, Experiment], model: Path | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Runs the experiments one after the other; yields each key with its results."""
    from moc_engine.evaluation.evaluate import EvaluationPool
    from moc_engine.machine import cores
    from moc_engine.model_index import EMBEDDED

    with _progress(len(experiments)) as step, EvaluationPool(cores()) as pool:
        for key, experiment in experiments.items():
            folder = experiment.model or model or EMBEDDED
            scores = pool.evaluate(folder, experiment.settings, report=step(experiment))
            yield key, {name: asdict(summary) for name, summary in scores.summaries().items()}


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Experiment], Callable[[int], None]]]:
    """A progress bar for all experiments.

    Yields a function that starts the next one and returns the function to report its finished stories to.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("experiments", total=total)
        started = 0

        def step(experiment: Experiment) -> Callable[[int], None]:
            nonlocal started
            before, stories = started, experiment.settings.stories
            started += 1
            bar.update(task, description=experiment.title)
            return lambda done: bar.update(task, completed=before + done / stories)

        yield step


def _read(store: Path) -> dict[str, Any]:
    """The results so far, by key; raises `DamagedFolder` if the file cannot be read."""
    try:
        results = json.loads(store.read_bytes())["results"]
        found = {json.dumps(result["settings"], sort_keys=True): result["figures"] for result in results}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFolder(
            f"{store} is damaged or of another version: move it away, or choose another --out"
        ) from error
    return found


def _write(store: Path, found: Mapping[str, Any]) -> None:
    from moc_engine.files import write_text

    results = [{"settings": json.loads(key), "figures": figures} for key, figures in found.items()]
    write_text(store, json.dumps({"results": results}, indent=1) + "\n")


def _result(experiment: Experiment, found: Mapping[str, Any]) -> Result:
    from moc_engine.evaluation.measures.scores import Summary
    from moc_engine.evaluation.reports.report import Result

    figures = {}
    for name, figure in found.items():
        distances = {int(d): (float(mean), int(n)) for d, (mean, n) in figure["by_distance"].items()}
        figures[name] = Summary(**{**figure, "by_distance": distances})
    return Result(experiment=experiment, figures=figures)

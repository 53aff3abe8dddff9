from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from moc_engine.model_index import EMBEDDED
from moc_engine.training.options import CHECKPOINT, TrainingOptions, add_options, read_options


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "abacus"}, "preset: one of cpu, refine, gpu, trial, smoke"),
        ({"steps": 0}, "steps: must be 1 or more"),
        ({"steps": -3}, "steps: must be 1 or more"),
        ({"minutes": float("nan")}, "minutes: must be 0 or more"),
        ({"minutes": float("inf")}, "minutes: must be 0 or more"),
        ({"minutes": -1.0}, "minutes: must be 0 or more"),
        ({"resume": True}, "resume: there is no checkpoint"),
        ({"without": ("sleep",)}, "without: one of gradual, drop, steering"),
        ({"router": "magic"}, "router: one of moc, dense, own, moga, vorta"),
        ({"router": "vorta"}, "from: the router vorta learns beside weights"),
        ({"preset": "refine"}, "from: the preset refine needs initial weights"),
        ({"origin": Path("nowhere")}, "from: there is no model in nowhere"),
        ({"origin": EMBEDDED, "resume": True}, "from: a resumed run continues"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingOptions(**{"preset": "cpu", "out": tmp_path, **wrong})


def test_a_run_is_not_overwritten_by_mistake(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).touch()
    with pytest.raises(ValueError, match=r"out: .* already holds a run"):
        TrainingOptions(preset="cpu", out=tmp_path)


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"resume": True, "steps": 5, "minutes": 1.5},
        {"preset": "refine", "origin": EMBEDDED, "without": ("drop", "steering")},
        {"router": "moga"},
        {"router": "vorta", "origin": EMBEDDED},
    ],
)
def test_words_are_read_back(tmp_path: Path, wishes: dict[str, Any]) -> None:
    if "resume" in wishes:
        (tmp_path / CHECKPOINT).touch()
    options = TrainingOptions(**{"preset": "gpu", "out": tmp_path, **wishes})
    parser = ArgumentParser()
    add_options(parser)
    assert read_options(parser.parse_args(options.arguments())) == options

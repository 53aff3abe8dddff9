import json
from pathlib import Path

import pytest
import torch

from moc_engine.animatic.model import load
from moc_engine.training.loop import draw_rules, draw_starts, train
from moc_engine.training.recipes import recipe


def _losses(folder: Path) -> dict[int, float]:
    return dict(json.loads((folder / "history.json").read_text())["loss"])


def test_a_run_ends_with_a_model_a_curve_and_a_checkpoint(tmp_path: Path) -> None:
    train("smoke", tmp_path / "run", steps=3)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt",
        "curve.png",
        "history.json",
        "model",
    ]
    assert load(tmp_path / "run" / "model").transformer.config.num_layers == 2


def test_a_resumed_run_is_the_run_it_would_have_been(tmp_path: Path) -> None:
    train("smoke", tmp_path / "through")
    train("smoke", tmp_path / "pieces", minutes=0.0)
    assert len(_losses(tmp_path / "pieces")) == 1
    train("smoke", tmp_path / "pieces", resume=True)
    assert _losses(tmp_path / "pieces") == pytest.approx(_losses(tmp_path / "through"))
    models = [load(tmp_path / name / "model").transformer.state_dict() for name in ("through", "pieces")]
    for name, weight in models[0].items():
        torch.testing.assert_close(weight, models[1][name])


def test_a_run_is_neither_overwritten_nor_resumed_by_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume: there is no checkpoint"):
        train("smoke", tmp_path / "run", resume=True)
    train("smoke", tmp_path / "run", steps=1)
    with pytest.raises(ValueError, match="holds a run already"):
        train("smoke", tmp_path / "run", steps=1)


def test_shots_begin_in_order_and_never_overlap() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        starts = draw_starts(6, 4, gaps=0.5, generator=generator)
        assert (starts.diff() >= 4).all()
    assert draw_starts(6, 4, gaps=0.0, generator=generator).tolist() == [0, 4, 8, 12, 16, 20]


def test_rules_grow_sparse_and_never_both_pin_and_ban() -> None:
    plan, generator = recipe("cpu"), torch.Generator().manual_seed(0)
    device = torch.device("cpu")
    early = draw_rules(plan, 8, 6, 0, generator, device)
    late = draw_rules(plan, 8, 6, plan.steps - 1, generator, device)
    assert early.routing is None
    assert late.routing is not None
    assert late.routing.top_k == 3
    assert late.candidates is not None
    assert late.pinned is not None
    assert late.pinned.any()
    assert not late.candidates.all()
    assert not (late.pinned & ~late.candidates).any()

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from moc_engine.errors import CheckpointError
from moc_engine.training.checkpoint import Checkpoint, fixed_fields, read, write
from moc_engine.training.curve import History
from moc_engine.training.recipes import cpu, gpu


def _checkpoint(**changes: Any) -> Checkpoint:
    own = {"step": 3, "seconds": 4.5, "recipe": fixed_fields(cpu()), "model": {"w": torch.ones(2)}}
    rest = {
        "origin": "weights/first",
        "optimizer": {},
        "average": {},
        "history": History(loss=[(1, 0.5)], recall={"shape": [(1, 0.25)]}),
    }
    return Checkpoint(**{**own, **rest, **changes})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(_checkpoint(), tmp_path / "state")
    back = read(tmp_path / "state", fixed_fields(cpu()))
    assert torch.equal(back.model.pop("w"), torch.ones(2))
    assert back == _checkpoint(model={})


def test_steps_may_change_and_little_else(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write(_checkpoint(), path)
    read(path, fixed_fields(replace(cpu(), steps=9, piece_minutes=1.0, workers=3)))
    with pytest.raises(
        CheckpointError, match=r"another recipe; it differs in .*learning_rate, name, .*stages"
    ):
        read(path, fixed_fields(gpu()))
    with pytest.raises(CheckpointError, match="differs in seed"):
        read(path, fixed_fields(replace(cpu(), seed=2)))


def test_a_checkpoint_of_version_0_1_is_read(tmp_path: Path) -> None:
    """It names some settings otherwise, and its routing lacks those that came later."""
    plan = replace(cpu(), without=("drop",))
    recipe: dict[str, Any] = dict(fixed_fields(plan))
    recipe["silent"] = recipe.pop("caption_dropout")
    recipe["without"] = ("chance",)
    recipe["examined_stories"] = 3
    names = ("top_k", "chunking", "pooling", "backend", "outer_shots", "drop_off", "drop_in")
    recipe["routing"] = {name: recipe["routing"][name] for name in names}
    write(_checkpoint(recipe=recipe), tmp_path / "state")
    assert read(tmp_path / "state", fixed_fields(plan)).step == 3
    with pytest.raises(CheckpointError, match="differs in caption_dropout"):
        read(tmp_path / "state", fixed_fields(replace(plan, caption_dropout=0.5)))


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def _spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[200:260] = bytes(60)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no checkpoint at all"),
        lambda path: path.write_text("junk"),
        _spoil,
        lambda path: torch.save({"other": 1}, path),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({**vars(_checkpoint()), "history": {"loss": 3}}, path),
    ],
)
def test_damage_is_told(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "state"
    write(_checkpoint(), path)
    damage(path)
    with pytest.raises(CheckpointError, match="is damaged, or no checkpoint"):
        read(path, fixed_fields(cpu()))

from __future__ import annotations

from pathlib import Path

from moc_engine.model_abilities import model_abilities
from moc_engine.models.registry import family_entry
from tests.fakes.models import save_tiny_video


def test_abilities_are_read_without_loading_a_model(tmp_path: Path) -> None:
    assert model_abilities(None) == {"processes"}
    save_tiny_video(tmp_path / "wan")
    assert model_abilities(str(tmp_path / "wan")) == family_entry("WanPipeline").abilities({})
    assert "loras" in family_entry("WanPipeline").abilities({})


def test_nothing_is_known_of_what_is_not_there(tmp_path: Path) -> None:
    assert model_abilities(str(tmp_path)) is None
    assert model_abilities("maker/nothing-of-that-name") is None

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moc_engine.errors import ModelMismatch
from moc_engine.evaluation.toon.toon_report import ToonQuestion, report
from tests.fakes.toon_folders import toon_folder
from tests.fakes.wan_folders import wan_t2v_folder

PRESET = "toon-smoke"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("toon")
    toon_folder(made, PRESET)
    return made


def question(**settings: object) -> ToonQuestion:
    return ToonQuestion.of_preset(PRESET, stories=3, top_k=1, **settings)  # type: ignore[arg-type]


def test_a_report_has_every_way_to_make_films(folder: Path, tmp_path: Path) -> None:
    found = report(folder, question(heat_stories=3), sheet=tmp_path / "sheet.png")
    assert list(found.figures) == ["drawn", "rebuilt", "moc", "dense", "own"]
    counts = {way: figures["recall"].count for way, figures in found.figures.items()}
    assert len(set(counts.values())) == 1
    assert found.figures["drawn"]["recall"].mean == 1.0
    assert found.pruned["dense"] == 0.0
    assert found.pruned["moc"] == pytest.approx(1 - 3 / 6)
    assert found.pruned["own"] == 1.0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 48, 3 * 4 * 32)
    assert 0.0 < found.heat["its_takes"].mean <= 1.0
    assert 0.0 <= found.heat["attention_to_its_takes"].mean <= 1.0
    assert found.heat["attention_to_its_takes"].count > 0


def test_stories_can_be_longer_than_those_it_was_trained_on(folder: Path) -> None:
    found = report(folder, question(shots=7, heat_stories=0))
    assert found.pruned["moc"] == pytest.approx(1 - 6 / 21)
    assert (
        found.figures["drawn"]["recall"].count
        > report(folder, question(heat_stories=0)).figures["drawn"]["recall"].count
    )


def test_own_films_do_not_look_at_the_drawn_ones(folder: Path) -> None:
    found = report(folder, question(context="own", heat_stories=0))
    assert not found.heat
    assert all(np.isfinite(figures["colour_error"].mean) for figures in found.figures.values())


def test_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="is no model of the preset toon-cpu"):
        report(folder, ToonQuestion.of_preset("toon-cpu"))
    wan_t2v_folder(tmp_path)
    with pytest.raises(ModelMismatch, match="is no model of the preset toon-smoke"):
        report(tmp_path, question())

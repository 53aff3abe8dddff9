from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from moc_engine.config import MemoryChoice
from moc_engine.profiles import GIB, PROFILES, SHARED
from moc_engine.render_need import RenderNeed, RenderNeeds, render_needs
from tests.fakes.unknown_model import UNKNOWN_MODEL
from tests.fakes.wan_folders import wan_a14b_folder, wan_t2v_folder, wan_vace_folder

ASKED: dict[str, Any] = {
    "size": (128, 64),
    "seconds": 2.0,
    "context": (2.0, 2.0),
    "memory": MemoryChoice(),
    "guided": True,
    "gpu": None,
    "main": 64 * GIB,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    wan_t2v_folder(folder)
    return str(folder)


def needs(model: str, **changed: Any) -> RenderNeeds:
    found = render_needs(model, **{**ASKED, **changed})
    assert found is not None
    return found


def need(model: str, **changed: Any) -> RenderNeed:
    return needs(model, **changed).chosen


def test_without_a_gpu_everything_is_in_main_memory(model: str) -> None:
    found = need(model)
    assert (found.device, found.profile, found.per_step) == (0, SHARED, 0)
    assert found.host > found.remembered > 0


def test_reference_pictures_are_denoised_where_the_model_takes_any(model: str, tmp_path: Path) -> None:
    wan_vace_folder(tmp_path)
    large = {"seconds": 600.0, "context": ()}  # so that denoising needs more than decoding
    alone, beside = (need(str(tmp_path), references=pictures, **large) for pictures in (0, 3))
    assert beside.host > alone.host
    assert need(model, references=3, **large) == need(model, **large)


def test_a_gpu_decides_the_profile_and_holds_memories_first(model: str) -> None:
    found = need(model, gpu=24 * GIB)
    assert found.profile.name == "24gb"
    assert found.device > found.remembered > 0
    assert need(model, gpu=8 * GIB).profile.name == "8gb"


def test_each_profile_has_its_need(model: str) -> None:
    found = needs(model, gpu=24 * GIB)
    assert tuple(one.profile for one in found.profiles) == PROFILES
    assert found.chosen in found.profiles
    assert found.profiles[0].host < found.profiles[2].host  # parts that do not stay lie in main memory


def test_a_profile_that_is_asked_for_is_the_chosen_one(model: str) -> None:
    assert need(model, gpu=24 * GIB, profile="8gb").profile.name == "8gb"
    found = needs(model, gpu=24 * GIB, profile="24gb+full")
    assert (found.chosen.profile.name, found.profiles[0]) == ("24gb+full", found.chosen)
    assert found.profiles[1:] == needs(model, gpu=24 * GIB).profiles


def test_without_a_gpu_the_needs_of_one_are_told_besides(model: str) -> None:
    found = needs(model)
    assert found.profiles[0] == found.chosen
    assert all(one.device > 0 for one in found.profiles[1:])
    assert tuple(one.profile for one in found.profiles) == (SHARED, *PROFILES)


def test_what_is_remembered_follows_the_settings(model: str) -> None:
    everything = need(model, memory=MemoryChoice(policy="all", storage="full")).remembered
    assert need(model, context=()).remembered == 0
    assert 0 < need(model, memory=MemoryChoice(policy="first-last", storage="full")).remembered < everything
    assert need(model).remembered < everything  # keyframes in 8 bits are the model's own
    assert need(model, context=(2.0,)).remembered < need(model).remembered


def test_two_experts_remember_twice(model: str, tmp_path: Path) -> None:
    wan_a14b_folder(tmp_path)
    assert need(str(tmp_path)).remembered == 2 * need(model).remembered
    assert asdict(need(str(tmp_path)))["host"] > need(model).host


def test_nothing_is_said_of_models_whose_size_is_not_known(tmp_path: Path) -> None:
    assert render_needs(None, **ASKED) is None
    assert render_needs(str(tmp_path), **ASKED) is None
    assert render_needs(UNKNOWN_MODEL, **ASKED) is None

"""A tiny model for tests of renders."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.models.animatic.model import save
from moc_engine.render.renderer import ShotRenderer
from tests.fakes.models import tiny_animatic


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(tiny_animatic(), folder)
    return folder


@pytest.fixture
def renderer(model: Path) -> ShotRenderer:
    return ShotRenderer(model, device="cpu")

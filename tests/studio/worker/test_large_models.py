"""Models whose files take long to read: the worker reads them before it renders, a page never does."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.storyboard import Settings
from studio.store import takes
from studio.store.database import Database
from studio.store.model_identity import READ_AT_ONCE, identify
from studio.store.rename_rows import rename_takes
from studio.store.take_renaming import legacy_identity
from tests.fakes.inline_studio import BOARD, Studio


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a large model, last changed a minute ago."""
    folder = tmp_path / "model" / "transformer"
    folder.mkdir(parents=True)
    (folder.parent / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    file = folder / "model.safetensors"
    with file.open("wb") as stream:
        stream.truncate(READ_AT_ONCE + 2**20)
    os.utime(file, (time.time() - 60, time.time() - 60))
    return file


def test_takes_of_a_large_model_are_fresh_until_any_byte_of_it_changes(
    tmp_path: Path, database: Database, weights: Path
) -> None:
    studio = Studio(tmp_path, database)
    board = replace(BOARD, settings=Settings(model=str(weights.parents[1])))
    project = studio.rendered(board)
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["fresh"] * 3
    with database.read() as session:
        models = {take.inputs.model for take in takes.takes_of(session, project).values()}
    assert models == {identify(str(weights.parents[1]))}
    with weights.open("r+b") as stream:
        stream.seek(READ_AT_ONCE // 2)
        stream.write(b"1")
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["outdated"] * 3


def test_takes_of_version_0_1_are_not_rendered_again(
    tmp_path: Path, database: Database, weights: Path
) -> None:
    model = str(weights.parents[1])
    studio = Studio(tmp_path, database)
    project = studio.rendered(replace(BOARD, settings=Settings(model=model)))
    legacy = legacy_identity(model)
    assert legacy is not None
    with database.write() as session:
        assert rename_takes(session.connection(), lambda _: legacy) == 3
    later = Studio(tmp_path, database)
    assert [shot.state for shot in later.service.projects.state(project).shots] == ["outdated"] * 3
    later.service.rendering.render(project)
    later.work()
    assert later.renderer.requests == []
    state = later.service.projects.state(project)
    assert [(shot.state, len(shot.takes)) for shot in state.shots] == [("fresh", 1)] * 3

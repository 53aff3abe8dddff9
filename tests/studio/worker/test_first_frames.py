"""What goes with a real model, from the storyboard to the request of the engine."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from moc_engine.config import MemoryChoice, SamplerChoice
from moc_engine.contract import Lora as RequestedLora
from studio.domain.edits.film import SetSettings
from studio.domain.edits.restore import Restore
from studio.domain.edits.shot_inputs import SetFirstFrame
from studio.domain.edits.timeline import Skip, Trim
from studio.domain.errors import BadPicture, NotThere
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import Storyboard
from studio.store.clip_file import picture_at
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.pictures import write_picture
from tests.fakes.renderer import FakeRenderer
from tests.fakes.unknown_model import UNKNOWN_MODEL

MODEL = Settings(model=UNKNOWN_MODEL)


class Watching(FakeRenderer):
    """Keeps the first frame of each request, whose file is gone after the render."""

    def __init__(self) -> None:
        super().__init__(self._keep)
        self.first_frames: dict[int, np.ndarray | None] = {}

    def _keep(self, shot: int, step: int) -> None:
        file = self.requests[-1].first_frame
        picture = None
        if file is not None:
            with file.open() as stream:
                picture = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
        self.first_frames[shot] = picture


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database, Watching())


def watched(studio: Studio) -> dict[int, np.ndarray | None]:
    assert isinstance(studio.renderer, Watching)
    return studio.renderer.first_frames


def board(*first_frames: str | None, settings: Settings = MODEL) -> Storyboard:
    shots = [replace(s, first_frame=f) for s, f in zip(BOARD.shots, first_frames, strict=True)]
    return replace(BOARD, settings=settings, shots=tuple(shots))


def test_a_shot_starts_with_the_last_frame_that_the_one_before_shows(studio: Studio) -> None:
    project = studio.rendered(board(None, "previous", "shot:a"))
    state = studio.service.projects.state(project)
    assert [shot.state for shot in state.shots] == ["fresh"] * 3
    with studio.service.files.media(project, str(state.shots[0].take), "clip").local() as clip:
        last = picture_at(clip, 7)
    frames = watched(studio)
    assert frames[0] is None
    for frame in (frames[1], frames[2]):
        assert frame is not None
        assert np.array_equal(frame, last)

    studio.service.editing.edit(project, Trim(shot="a", trim=0.0, seconds=0.5), state.revision)
    trimmed = studio.service.projects.state(project)
    assert [shot.due for shot in trimmed.shots] == [False, True, True]
    assert trimmed.shots[1].reasons == ("shot 1, whose last frame it starts with, ends earlier or later",)
    studio.service.rendering.render(project)
    studio.work()
    assert frames[1] is not None
    assert not np.array_equal(frames[1], last)
    assert not list((studio.service.root / "scratch").iterdir())


def test_without_its_source_a_shot_is_refused_in_words(studio: Studio) -> None:
    project = studio.service.projects.create(board(None, "previous", None))
    studio.service.rendering.render(project, ("b",))
    studio.work()
    (job,) = studio.service.queue.state().jobs
    assert job.error == "shot 2 starts with the last frame of shot 1, which has no take"


def test_a_skipped_source_has_no_effect(studio: Studio) -> None:
    project = studio.rendered(board(None, None, "shot:b"))
    state = studio.service.projects.state(project)
    skipped = studio.service.editing.edit(project, Skip(shots=("b",), on=True), state.revision)
    assert "first frame changed" in skipped.shots[2].reasons
    back = studio.service.editing.undo(project, skipped.revision)
    assert back.shots[2].state == "fresh"


def test_a_shot_starts_with_a_picture(studio: Studio, tmp_path: Path) -> None:
    project = studio.service.projects.create(board(None, None, None))
    file = write_picture(tmp_path / "start.png")
    digest = studio.service.pictures.add(project, file)
    with studio.service.pictures.file(project, digest).open() as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == digest
    edit = SetFirstFrame(shot="a", first_frame=f"picture:{digest}")
    studio.service.editing.edit(project, edit, 0)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    started = watched(studio)[0]
    assert started is not None
    shown = cv2.imread(str(file))
    assert shown is not None
    assert np.array_equal(started, shown)

    copy = studio.service.projects.duplicate(project)
    moved = studio.service.files.import_bundle(studio.service.files.export(project, "project.mocz"))
    for other in (copy, moved):
        assert studio.service.pictures.file(other, digest)
        assert studio.service.projects.state(other).shots[0].state == "fresh"
    with pytest.raises(NotThere):
        studio.service.pictures.file(project, "0" * 64)


def test_a_picture_that_another_project_has_is_not_there(studio: Studio, tmp_path: Path) -> None:
    other = studio.service.projects.create(BOARD)
    digest = studio.service.pictures.add(other, write_picture(tmp_path / "start.png"))
    project = studio.service.projects.create(board(f"picture:{digest}", None, None))
    studio.service.rendering.render(project, ("a",))
    studio.work()
    (job,) = studio.service.queue.state().jobs
    assert job.error == "the take or picture that shot 1 starts with is not there any more"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"GIF89a", "no picture"),
        (b"\x89PNG\r\n\x1a\n cut off", "no picture"),
        (b"", "no picture"),
        (cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), "16 to 8192 pixels"),
    ],
)
def test_what_is_no_picture_is_refused(studio: Studio, tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "start.png"
    file.write_bytes(content)
    with pytest.raises(BadPicture, match=says):
        studio.service.pictures.add(studio.service.projects.create(BOARD), file)


def test_settings_reach_the_engine_and_loras_their_take_by_digest(studio: Studio, tmp_path: Path) -> None:
    ink = tmp_path / "ink.safetensors"
    ink.write_bytes(b"weights")
    high = tmp_path / "high.safetensors"
    high.write_bytes(b"more weights")
    settings = replace(
        MODEL,
        negative_prompt="blurred",
        scheduler="unipc",
        shift=5.0,
        guidance=4.0,
        guidance_2=3.0,
        step_cache="mag",
        memory_policy="spread",
        keyframes=4,
        memory_storage="int8",
        positions="clamp",
        loras=(Lora(file=str(ink), weight=0.5), Lora(file=str(high), expert="high")),
    )
    project = studio.rendered(board(None, None, None, settings=settings))
    first, second, _ = studio.renderer.requests
    assert second.sampler == SamplerChoice(guidance=4.0, scheduler="unipc", shift=5.0, guidance_2=3.0)
    assert second.memory == MemoryChoice(policy="spread", keyframes=4, storage="int8", positions="clamp")
    assert first.memory == MemoryChoice()
    assert (second.negative_prompt, second.step_cache) == ("blurred", "mag")
    assert second.loras == (
        RequestedLora(source=str(ink), weight=0.5),
        RequestedLora(source=str(high), expert="high"),
    )
    digest, other = (hashlib.sha256(data).hexdigest()[:16] for data in (b"weights", b"more weights"))
    assert second.recipe["loras"] == [[digest, 0.5, "both"], [other, 1.0, "high"]]
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["fresh"] * 3
    state = studio.service.projects.state(project)
    without = studio.service.editing.edit(project, SetSettings(settings=MODEL), state.revision)
    restored = Restore(shot="b", take=str(state.shots[1].take))
    shot = studio.service.editing.edit(project, restored, without.revision).shots[1]
    assert (shot.negative_prompt, shot.loras) == ("blurred", settings.loras)
    back = studio.service.editing.undo(project, without.revision + 1)
    studio.service.editing.undo(project, back.revision)
    ink.write_bytes(b"other weights")
    changed = Studio(tmp_path, studio.database).service.projects.state(project)
    assert [shot.reasons[0] for shot in changed.shots] == ["LoRAs changed"] * 3


def test_a_kept_context_leaves_out_what_another_model_cannot_use(studio: Studio) -> None:
    project = studio.rendered(board(None, "previous", None))
    studio.service.editing.edit(project, SetSettings(settings=Settings()), 0)
    studio.service.rendering.reroll(project, "b", seed=7)
    studio.work()
    assert studio.renderer.requests[-1].seed == 7
    assert watched(studio)[1] is None

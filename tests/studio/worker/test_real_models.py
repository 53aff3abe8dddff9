"""Each kind of Wan model, tiny and with random weights, from a storyboard to a film by the worker."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from moc_engine.contract import CancelToken, RenderEvent, RenderRequest, RenderResult, Stage, StageEvent
from moc_engine.model_abilities import model_abilities
from moc_engine.models.loading import load_backbone
from moc_engine.render.renderer import ShotRenderer
from studio.domain.edits.film import SetLane, SetSettings
from studio.domain.edits.shot_inputs import SetFirstFrame
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import Storyboard
from studio.service.studio import Service
from studio.store.database import Database
from tests.fakes import wan_folders
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.loras import diffusers_keys, factors, save_lora


def render_of(model: str | None) -> ShotRenderer:
    return ShotRenderer(model, device="cpu")


def board(settings: Settings) -> Storyboard:
    shots = tuple(replace(shot, caption="a fox runs at dawn", seconds=0.5) for shot in BOARD.shots)
    return replace(BOARD, settings=replace(settings, top_k=2, full_below=0), shots=shots, cast=())


def frames_in(film: Path) -> int:
    with av.open(film) as opened:
        return sum(1 for _ in opened.decode(video=0))


def picture(file: Path) -> Path:
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    return file


@pytest.mark.parametrize(
    "make",
    [
        wan_folders.wan_t2v_folder,
        wan_folders.wan_ti2v_folder,
        wan_folders.wan_a14b_folder,
        wan_folders.wan_i2v_folder,
        wan_folders.wan22_i2v_folder,
        wan_folders.fastwan_folder,
    ],
)
def test_three_shots_of_each_kind_become_a_film(
    make: Callable[[Path], None], database: Database, tmp_path: Path
) -> None:
    model = str(tmp_path / "model")
    make(Path(model))
    able = model_abilities(model) or frozenset()
    distilled = make is wan_folders.fastwan_folder  # to fixed steps without guidance
    settings = Settings(model=model) if distilled else Settings(model=model, steps=2, guidance=2.0)
    lora = save_lora(tmp_path / "ink.safetensors", diffusers_keys(factors(load_backbone(model).transformer)))
    settings = replace(settings, loras=(Lora(file=str(lora), weight=0.5),))
    if "negative_prompt" in able:
        settings = replace(settings, negative_prompt="blurred")
    if "two_experts" in able:
        settings = replace(settings, guidance_2=1.5)
    studio = Studio(tmp_path, database, make_renderer=render_of)
    project = studio.service.projects.create(board(settings))
    if "first_frame" in able:
        start = f"picture:{studio.service.pictures.add(project, picture(tmp_path / 'start.png'))}"
        for shot, frame in (("a", start), ("b", "previous"), ("c", "shot:a")):
            revision = studio.service.projects.state(project).revision
            studio.service.editing.edit(project, SetFirstFrame(shot=shot, first_frame=frame), revision)
    studio.service.rendering.render(project)
    studio.work()

    state = studio.service.projects.state(project)
    assert [job.error for job in studio.service.queue.state().jobs] == [None] * 3
    assert [shot.state for shot in state.shots] == ["fresh"] * 3
    assert state.lacks.keys().isdisjoint(able)
    assert frames_in(studio.service.files.export(project, "film.mp4")) == 12
    second, third = (str(shot.take) for shot in state.shots[1:])
    attended = studio.service.attention.at_point(project, third, 0.25, 0.5, 0.5)
    past = [source for source in attended.drawn if source.kind == "history"]
    assert {source.take for source in past} <= {str(state.shots[0].take), second}
    assert sum(source.share for source in past) > 0
    heat = studio.service.attention.heat(project, third, 0.25, past[0].column)
    assert np.array(heat).max() > 0


def test_a_draft_of_the_embedded_model_guides_a_real_one(database: Database, tmp_path: Path) -> None:
    model = tmp_path / "model"
    wan_folders.wan_t2v_folder(model)
    studio = Studio(tmp_path, database, make_renderer=render_of)
    story = replace(BOARD, shots=BOARD.shots[:1], settings=Settings(steps=2))
    project = studio.rendered(story)
    revision = studio.service.projects.state(project).revision
    real = Settings(model=str(model), steps=4, guidance=1.0, guide_strength=0.5)
    studio.service.editing.edit(project, SetSettings(settings=real), revision)
    suggested = studio.service.look_words.suggest(project, "a")
    assert suggested.caption.startswith("Mira waves. ")
    assert "The scene is " in suggested.caption
    studio.service.rendering.render(project)
    studio.work()
    finals = studio.service.projects.state(project)
    assert finals.shots[0].state == "fresh"
    assert finals.shots[0].other_take is not None
    drafts = studio.service.editing.edit(project, SetLane(lane="draft"), finals.revision)
    assert (drafts.shots[0].take, drafts.shots[0].state) == (finals.shots[0].other_take, "outdated")
    assert drafts.shots[0].reasons == ("steps changed",)


@dataclass
class Cancelling:
    """Cancels the job that it renders when a stage begins."""

    renderer: ShotRenderer
    stage: Stage
    service: Service | None = None

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        rendering = self.renderer.render(request, cancel)
        while True:
            try:
                event = next(rendering)
            except StopIteration as stop:
                result: RenderResult = stop.value
                return result
            if event == StageEvent(stage=self.stage):
                assert self.service is not None
                self.service.queue.cancel(self.service.queue.state().jobs[0].id)
            yield event


@pytest.mark.parametrize("stage", ["load", "memory", "denoise", "decode"])
def test_a_render_is_cancelled_in_any_stage_and_leaves_nothing(
    stage: Stage, database: Database, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    wan_folders.wan_t2v_folder(model)
    renderer = Cancelling(render_of(str(model)), stage)
    studio = Studio(tmp_path, database, make_renderer=lambda name: renderer)
    renderer.service = studio.service
    project = studio.service.projects.create(board(Settings(model=str(model), steps=2)))
    studio.service.rendering.render(project, ("a",))
    studio.work()
    (job,) = studio.service.queue.state().jobs
    assert job.state == "cancelled"
    assert studio.service.projects.state(project).shots[0].takes == ()
    assert studio.artifacts() == []
    assert not list((tmp_path / "scratch").iterdir())

"""A VACE shot alone is what diffusers' `WanVACEPipeline` makes of the same seed and pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanVACEPipeline
from PIL import Image
from torch import Tensor

from moc_engine.clip import ClipWriter
from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import Control, RenderRequest
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.render.pictures import read_clip, read_picture
from moc_engine.render.prepare import prepare
from moc_engine.render.shot_denoising import shot_denoising
from moc_engine.stored_file import LocalFile
from tests.fakes.wan_folders import wan_vace_a14b_folder, wan_vace_folder

SIZE = (64, 32)
FRAMES = 9
STEPS = 3


@dataclass(frozen=True)
class Case:
    """What a shot is made from, and by how many experts."""

    control: bool = False
    references: int = 0
    first: bool = False
    scale: float = 1.0
    experts: int = 1


CASES = {
    "nothing": Case(),
    "a control": Case(control=True),
    "references": Case(references=2),
    "a control and references": Case(control=True, references=3),
    "a first frame": Case(first=True),
    "a first frame, a control and a reference": Case(first=True, control=True, references=1),
    "half the scale": Case(control=True, references=1, scale=0.5),
    "a control and references, by two experts": Case(control=True, references=2, experts=2),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Models by the number of their experts."""
    made = tmp_path_factory.mktemp("models")
    wan_vace_folder(made / "one")
    wan_vace_a14b_folder(made / "two")
    return {1: made / "one", 2: made / "two"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> LocalFile:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    with ClipWriter(path, SIZE, 16) as writer:
        for nth in range(FRAMES):
            writer.write(np.asarray(picture(nth).resize(SIZE)))
    return LocalFile(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[LocalFile]:
    """Of several shapes; none is that of the shot."""
    folder, files = tmp_path_factory.mktemp("pictures"), []
    for nth, size in enumerate([(100, 75), (40, 90), (128, 64)]):
        files.append(LocalFile(folder / f"{nth}.png"))
        picture(10 + nth).resize(size).save(files[-1].path)
    return files


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (4, 8, 3), dtype=np.uint8))


def request_of(output: Path) -> RenderRequest:
    return RenderRequest(
        previews=0,
        shot=0,
        caption="a fox runs",
        global_caption="",
        cast=(),
        seconds=FRAMES / 16,
        fps=16,
        size=SIZE,
        seed=7,
        output=output,
        routing=RoutingChoice(backend="grouped"),
        sampler=SamplerChoice(steps=STEPS),
        negative_prompt="blurred static",
    )


def rendered(backbone: Backbone, request: RenderRequest, *, two_passes: bool = False) -> Tensor:
    """The latents (1, C, F, H, W) of a shot alone."""
    prepared = prepare(request, backbone)
    histories = dict.fromkeys(prepared.experts)
    *_, done = shot_denoising(prepared, backbone, histories.get, two_passes=two_passes).steps()
    assert done.latents.shape == done.estimate.shape == (1, *prepared.shape)
    return done.latents


def pipeline_of(folder: Path) -> Any:
    with no_progress_bars():
        pipeline = WanVACEPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def video_of(request: RenderRequest) -> Tensor:
    """The video (1, N, 3, Y, X) within 0 and 1 that a request asks for, grey where it has no pictures."""
    video = torch.full((1, FRAMES, 3, SIZE[1], SIZE[0]), 0.5)
    if request.control is not None:
        video[0] = (
            torch.from_numpy(np.stack(read_clip(request.control.clip, FRAMES, 16.0, ""))).movedim(-1, 1) / 255
        )
    if request.first_frame is not None:
        first = Image.fromarray(read_picture(request.first_frame, ""))
        pixels = np.array(first.resize(SIZE, Image.Resampling.LANCZOS))
        video[0, 0] = torch.from_numpy(pixels).movedim(-1, 0) / 255
    return video


def mask_of(request: RenderRequest) -> Tensor:
    """The mask (1, N, 1, Y, X) of what is made anew: all frames but for a first one that is given."""
    mask = torch.ones(1, FRAMES, 1, SIZE[1], SIZE[0])
    mask[:, 0] = float(request.first_frame is None)
    return mask


def called(pipeline: Any, request: RenderRequest, case: Case, **told: Any) -> tuple[Tensor, Any]:
    """The latents (1, C, F, H, W) of the pipeline, pictures of whom included, and its frames."""
    if case.control or case.first:
        told |= {"video": video_of(request), "mask": mask_of(request)}
    if request.references:
        told["reference_images"] = [Image.fromarray(read_picture(file, "")) for file in request.references]
    made: list[Tensor] = []

    def keep(_: Any, step: int, timestep: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        made.append(given["latents"])
        return {}

    (video,) = pipeline(
        prompt=request.caption,
        negative_prompt=request.negative_prompt,
        width=SIZE[0],
        height=SIZE[1],
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        conditioning_scale=case.scale,
        generator=torch.Generator().manual_seed(request.seed),
        callback_on_step_end=keep,
        return_dict=False,
        **told,
    )
    return made[-1], video[0]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_latents_and_frames_equal_those_of_the_pipeline(
    name: str, folders: dict[int, Path], clip: LocalFile, pictures: list[LocalFile], tmp_path: Path
) -> None:
    """Whether guidance is computed as one batch or in two passes."""
    case = CASES[name]
    backbone = load_backbone(folders[case.experts], "cpu")
    assert len(backbone.experts) == case.experts
    request = replace(
        request_of(tmp_path),
        control=Control(clip=clip, scale=case.scale) if case.control else None,
        references=tuple(pictures[: case.references]),
        first_frame=pictures[2] if case.first else None,
    )
    theirs, video = called(pipeline_of(folders[case.experts]), request, case)
    assert theirs.shape[2] == case.references + 3
    for two_passes in (False, True):
        ours = rendered(backbone, request, two_passes=two_passes)
        torch.testing.assert_close(ours, theirs[:, :, case.references :], atol=2e-5, rtol=2e-5)
    frames = np.stack(list(backbone.family.frames(ours[0], seconds=request.seconds, fps=16.0, size=SIZE)))
    assert frames.shape == video.shape == (FRAMES, SIZE[1], SIZE[0], 3)
    assert np.abs(frames - video * 255).max() < 0.6  # rounding, and 1e-4 of the latents
    if name != "nothing":
        assert not torch.allclose(ours, rendered(backbone, request_of(tmp_path)), atol=1e-2)

"""The third shot of a VACE story equals one forward pass over all shots under a mask, at every step.

Earlier shots stand in the pass clean, at time 0 and with the control of a shot without pictures, as their
memories are read. VACE's layers attend within each shot. In the blocks the tokens of the last shot attend to
everything, those of its reference pictures to the last shot alone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from diffusers import WanVACEPipeline
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from moc_engine.clip import ClipWriter
from moc_engine.config import MemoryChoice, RoutingChoice, SamplerChoice
from moc_engine.contract import ContextTake, Control, RenderRequest, finish
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.models.wan.caption_room import TEXT_STATES
from moc_engine.render.denoise import draw_noise
from moc_engine.render.pictures import read_clip, read_picture
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.plain_story import PlainStory
from tests.fakes.wan_folders import wan_vace_folder

CAPTIONS = ("a fox", "a fox runs", "a fox at dawn")
NEGATIVE = "blurred"
STEPS, FRAMES, SIZE, SCALE = 3, 5, (64, 32), 0.5
GUIDANCE: Final = 5.0


@pytest.mark.parametrize("pages", [False, True])
@pytest.mark.parametrize("pictures", [0, 2], ids=["no references", "references"])
def test_a_story_of_three_shots_equals_one_pass_over_all(pictures: int, pages: bool, tmp_path: Path) -> None:
    wan_vace_folder(tmp_path / "model")
    paged: dict[str, Any] = {
        "memory_budget": 0,
        "spill": tmp_path / "spill",
        "page_bytes": 0,
        "copied_bytes": 0,
    }
    renderer = ShotRenderer(tmp_path / "model", device="cpu", **(paged if pages else {}))
    requests = story(tmp_path, pictures)
    takes: list[Tensor] = []
    context: tuple[ContextTake, ...] = ()
    for request in requests:
        result = finish(renderer, replace(request, context=context))
        takes.append(load_file(result.latents)["latents"])
        assert takes[-1].shape == (16, 2, 4, 8)
        context += (take_of(request, result.latents),)
    trace = read_trace(result.trace)
    assert [chunk.frames for chunk in trace.query] == [(0, 1), (1, 2)]
    assert {link.source for link in trace.links()} == {0, 1}
    joint = Joint(tmp_path / "model", takes[:2], requests[2]).rendered()
    torch.testing.assert_close(takes[2], joint, atol=2e-4, rtol=2e-4)
    alone = Joint(tmp_path / "model", [], requests[2]).rendered()
    assert not torch.allclose(takes[2], alone, atol=1e-2)


def story(folder: Path, pictures: int) -> list[RenderRequest]:
    """Three shots: from a reference picture, by a control, and by a control with `pictures`."""
    with ClipWriter(folder / "clip.mp4", SIZE, 16) as writer:
        for nth in range(FRAMES):
            writer.write(np.asarray(picture(nth).resize(SIZE)))
    control = Control(clip=LocalFile(folder / "clip.mp4"), scale=SCALE)
    files = [LocalFile(folder / f"{nth}.png") for nth in range(2)]
    for nth, file in enumerate(files):
        picture(10 + nth).save(file.path)
    made_from: list[dict[str, Any]] = [
        {"references": (files[0],)},
        {"control": control},
        {"control": control, "references": tuple(files[:pictures])},
    ]
    return [
        RenderRequest(
            previews=0,
            shot=shot,
            caption=caption,
            global_caption="",
            cast=(),
            seconds=FRAMES / 16,
            fps=16,
            size=SIZE,
            seed=shot,
            output=folder / str(shot),
            routing=RoutingChoice(top_k=100, full_below=0, backend="grouped"),
            sampler=SamplerChoice(steps=STEPS, guidance=GUIDANCE),
            negative_prompt=NEGATIVE,
            memory=MemoryChoice(policy="all", storage="full"),
            **given,
        )
        for shot, (caption, given) in enumerate(zip(CAPTIONS, made_from, strict=True))
    ]


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 48, 3), dtype=np.uint8))


def take_of(request: RenderRequest, latents: Path) -> ContextTake:
    return ContextTake(
        id=request.caption,
        shot=request.shot,
        latents=LocalFile(latents),
        caption=request.caption,
        global_caption="",
        cast=(),
        seconds=request.seconds,
    )


class Joint:
    """Renders the last shot by passes over all, with the parts of diffusers' pipeline."""

    def __init__(self, folder: Path, earlier: list[Tensor], request: RenderRequest) -> None:
        with no_progress_bars():
            self._pipe: Any = WanVACEPipeline.from_pretrained(folder)
        self._model = self._pipe.transformer
        self._request = request
        self._earlier = earlier
        self._pictures = len(request.references)
        own = self._control(request)
        self._control_latents = torch.cat([self._control(None) for _ in earlier] + [own], dim=2)
        counts = [2] * len(earlier) + [self._pictures + 2]  # latent frames of each shot
        self._shot = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts) * 8)
        self._last = self._shot == len(earlier)
        self._of_picture = self._last.clone()
        self._of_picture[len(self._shot) - 16 :] = False

    def _control(self, request: RenderRequest | None) -> Tensor:
        """What the pipeline makes of a request's pictures; of none where None."""
        video, references = None, None
        if request is not None:
            assert request.control is not None
            frames = read_clip(request.control.clip, FRAMES, 16.0, "clip")
            video = [Image.fromarray(frame) for frame in frames]
            read = [Image.fromarray(read_picture(file, "picture")) for file in request.references]
            references = read or None
        told = self._pipe.preprocess_conditions(
            video, None, references, 1, SIZE[1], SIZE[0], FRAMES, torch.float32, torch.device("cpu")
        )
        with torch.no_grad():
            latents = self._pipe.prepare_video_latents(*told, None, torch.device("cpu"))
        return torch.cat((latents, self._pipe.prepare_masks(*told[1:])), dim=1)

    def rendered(self) -> Tensor:
        scheduler = self._pipe.scheduler
        scheduler.set_timesteps(STEPS)
        latents = draw_noise((1, 16, self._pictures + 2, 4, 8), self._request.seed)
        for time in scheduler.timesteps:
            without = self._velocity(latents, float(time), NEGATIVE)
            with_caption = self._velocity(latents, float(time), CAPTIONS[2])
            flow = without + GUIDANCE * (with_caption - without)
            latents = scheduler.step(flow, time, latents).prev_sample
        return latents[0, :, self._pictures :]

    @torch.no_grad()
    def _velocity(self, latents: Tensor, time: float, told: str) -> Tensor:
        model, frames = self._model, latents.shape[2]
        texts = [*CAPTIONS[: len(self._earlier)], told]
        states = [
            self._pipe.encode_prompt(
                text, do_classifier_free_guidance=False, max_sequence_length=TEXT_STATES
            )[0]
            for text in texts
        ]
        text_shot = torch.arange(len(states)).repeat_interleave(states[0].shape[1])
        self._set_masks(captions=self._shot[:, None] == text_shot)
        story = torch.cat([*(take[None] for take in self._earlier), latents], dim=2)
        rotary = model.rope(story)
        hidden, control = (
            embed(x).flatten(2).transpose(1, 2)
            for embed, x in (
                (model.patch_embedding, story),
                (model.vace_patch_embedding, self._control_latents),
            )
        )
        times = torch.where(self._last, time, 0.0)
        temb, projected, text, _ = model.condition_embedder(
            times, torch.cat(states, dim=1), None, timestep_seq_len=len(times)
        )
        projected = projected.unflatten(2, (6, -1))
        hints = []
        for block in model.vace_blocks:
            control, hint = vace_block(block, hidden, text, control, projected, rotary)
            hints.append(hint * torch.where(self._last, SCALE, 1.0)[None, :, None])
        for layer, block in enumerate(model.blocks):
            hidden = block(hidden, text, projected, rotary)
            if layer in model.config.vace_layers:
                hidden = hidden + hints.pop(0)
        shift, scale = (model.scale_shift_table[:, None] + temb[:, :, None]).chunk(2, dim=2)
        hidden = model.proj_out(model.norm_out(hidden) * (1 + scale[:, :, 0]) + shift[:, :, 0])
        spread = hidden.view(1, -1, 2, 4, 1, 2, 2, 16).permute(0, 7, 1, 4, 2, 5, 3, 6)
        out: Tensor = spread.flatten(6, 7).flatten(4, 5).flatten(2, 3)
        return out[:, :, -frames:]

    def _set_masks(self, captions: Tensor) -> None:
        own = self._shot[:, None] == self._shot
        all_shots = own | (self._last & ~self._of_picture)[:, None]
        for blocks, shots in ((self._model.vace_blocks, own), (self._model.blocks, all_shots)):
            plain = PlainStory(shots=shots, captions=captions)
            for block in blocks:
                block.attn1.set_processor(plain)
                block.attn2.set_processor(plain)


def vace_block(
    block: Any, hidden: Tensor, text: Tensor, control: Tensor, time_BL6E: Tensor, rotary: Any
) -> tuple[Tensor, Tensor]:
    """The control after one VACE layer, and its hint, with times for each token."""
    if block.proj_in is not None:
        control = block.proj_in(control) + hidden
    moved = (block.scale_shift_table[:, None] + time_BL6E).unbind(dim=2)
    control = control + moved[2] * block.attn1(
        block.norm1(control) * (1 + moved[1]) + moved[0], None, None, rotary
    )
    control = control + block.attn2(block.norm2(control), text, None, None)
    control = control + moved[5] * block.ffn(block.norm3(control) * (1 + moved[4]) + moved[3])
    return control, block.proj_out(control)

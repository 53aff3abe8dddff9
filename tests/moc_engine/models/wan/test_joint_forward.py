"""The third shot of a story equals one forward pass over all shots under a mask, at every step and expert.

Takes are rendered one after the other, remembered, and written to files, as always. The joint pass knows
nothing of memories: it runs the clean tokens of earlier shots anew in each step, at time 0, each shot seeing
itself, its own captions and its own picture alone, but for the last one, which sees all shots.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from moc_engine.clip import Frame
from moc_engine.config import MemoryChoice, RoutingChoice, SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, finish
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import ShotCondition, ShotPictures
from moc_engine.models.loading import load_backbone
from moc_engine.render.denoise import draw_noise
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.plain_story import PlainStory
from tests.fakes.wan_folders import (
    wan22_i2v_folder,
    wan_a14b_folder,
    wan_i2v_folder,
    wan_t2v_folder,
    wan_ti2v_folder,
)

CAPTIONS = ("a fox", "a fox runs", "a fox at dawn")
STYLE = "dawn"
NEGATIVE = "blurred"
STEPS = 4


FULL = MemoryChoice(policy="all", storage="full")
INT8 = MemoryChoice(policy="all", storage="int8")
TOLERANCE: Final[dict[str | None, float]] = {"full": 2e-4, "int8": 2e-3}


@pytest.mark.parametrize(
    ("make", "memory", "pages", "pictures"),
    [
        (wan_t2v_folder, FULL, False, False),
        (wan_ti2v_folder, FULL, False, False),
        (wan_ti2v_folder, FULL, False, True),
        (wan_a14b_folder, FULL, False, False),
        (wan_a14b_folder, FULL, True, False),
        (wan_a14b_folder, INT8, True, False),
        (wan_t2v_folder, INT8, False, False),
        (wan_i2v_folder, FULL, False, True),
        (wan22_i2v_folder, FULL, False, True),
        (wan22_i2v_folder, FULL, True, True),
    ],
)
def test_a_story_of_three_shots_equals_one_pass_over_all(
    make: Callable[[Path], None], memory: MemoryChoice, pages: bool, pictures: bool, tmp_path: Path
) -> None:
    """Also where the memories lie in files and come in chunk by chunk, and within their error in 8 bits."""
    make(tmp_path / "model")
    paged: dict[str, Any] = {
        "memory_budget": 0,
        "spill": tmp_path / "spill",
        "page_bytes": 0,
        "copied_bytes": 0,
    }
    renderer = ShotRenderer(tmp_path / "model", device="cpu", **(paged if pages else {}))
    backbone = load_backbone(tmp_path / "model", "cpu")
    family: Any = backbone.family
    _, rate = family.frames_needed((0, 2, 2, 4))
    context: list[ContextTake] = []
    takes: list[Tensor] = []
    for shot, caption in enumerate(CAPTIONS):
        picture = tmp_path / f"{shot}.png"
        Image.fromarray(pixels(shot)).save(picture)
        request = RenderRequest(
            previews=0,
            shot=shot,
            caption=caption,
            global_caption=STYLE,
            cast=(),
            seconds=5 / rate,
            fps=rate,
            size=(64, 32),
            seed=shot,
            output=tmp_path / str(shot),
            context=tuple(context),
            routing=RoutingChoice(top_k=100, full_below=0, backend="grouped"),
            sampler=SamplerChoice(steps=STEPS),
            negative_prompt=NEGATIVE,
            memory=memory,
            first_frame=LocalFile(picture) if pictures else None,
        )
        result = finish(renderer, request)
        takes.append(load_file(result.latents)["latents"])
        context.append(
            ContextTake(
                id=caption,
                shot=shot,
                latents=LocalFile(result.latents),
                caption=caption,
                global_caption=STYLE,
                cast=(),
                seconds=request.seconds,
            )
        )
    first = pixels(2) if pictures else None
    joint = Joint(backbone, takes[:2], rate, first).rendered(seed=2)
    allowed = TOLERANCE[memory.storage]
    torch.testing.assert_close(takes[2], joint, atol=allowed, rtol=allowed)
    alone = Joint(backbone, [], rate, first).rendered(seed=2)
    assert not torch.allclose(takes[2], alone, atol=1e-2)
    experts = read_trace(result.trace).routing["experts"]
    assert len(set(experts)) == len(backbone.experts)
    assert experts == sorted(experts)  # high noise first


def pixels(shot: int) -> Frame:
    """The first frame of a shot."""
    return np.random.default_rng(shot).integers(0, 255, (32, 64, 3), dtype=np.uint8)


class Joint:
    """Renders the last shot by passes over all, from its `first` frame where there is one."""

    def __init__(self, backbone: Backbone, earlier: list[Tensor], rate: float, first: Frame | None) -> None:
        self._backbone, self._earlier = backbone, earlier
        self._shape = backbone.family.latent_shape(5 / rate, (64, 32))
        family: Any = backbone.family
        own = None if first is None else family.condition(ShotPictures(first=first), self._shape)
        self._own: ShotCondition = own or ShotCondition()
        conditions = [*(family.own_condition(take) for take in earlier), self._own]
        self._conditions: list[ShotCondition] = [one or ShotCondition() for one in conditions]
        tokens = backbone.grid(self._shape, "frame").tokens
        self._shot = torch.arange(len(earlier) + 1).repeat_interleave(tokens)

    def rendered(self, seed: int) -> Tensor:
        scheduler, sampler = self._backbone.scheduler, self._backbone.family.sampler
        scheduler.set_timesteps(STEPS)
        scheduler.set_begin_index(0)
        latents = draw_noise((1, *self._shape), seed)
        for timestep in scheduler.timesteps:
            level = float(timestep) / 1000
            expert = self._backbone.at(level)
            without = self._velocity(expert, latents, timestep, ("", NEGATIVE))
            with_caption = self._velocity(expert, latents, timestep, (STYLE, CAPTIONS[2]))
            guidance = sampler.guidance_at(level, self._backbone.boundary)
            flow = without + guidance * (with_caption - without)
            latents = scheduler.step(flow, timestep, latents).prev_sample
        return self._from_picture(latents)[0]

    def _from_picture(self, latents: Tensor) -> Tensor:
        """The latents with those of the first frame in their place, for models that are given it so."""
        first = self._own.first_BCFHW
        return latents if first is None else torch.cat((first, latents[:, :, 1:]), dim=2)

    def _velocity(self, expert: Backbone, latents: Tensor, timestep: Tensor, told: tuple[str, str]) -> Tensor:
        texts = [*((STYLE, caption) for caption in CAPTIONS[: len(self._earlier)]), told]
        states = [expert.family.captions(*text, ()).states_BSE for text in texts]
        text_shot = torch.arange(len(states)).repeat_interleave(states[0].shape[1])
        last = len(states) - 1
        own = self._shot[:, None] == self._shot
        images = [one.states_BIE for one in self._conditions if one.states_BIE is not None]
        image_shot = torch.arange(len(images)).repeat_interleave(images[0].shape[1]) if images else None
        plain = PlainStory(
            shots=own | (self._shot == last)[:, None],
            captions=self._shot[:, None] == text_shot,
            images=None if image_shot is None else self._shot[:, None] == image_shot,
        )
        for block in expert.transformer.blocks:
            block.attn1.set_processor(plain)
            block.attn2.set_processor(plain)
        story = torch.cat([*(take[None] for take in self._earlier), self._from_picture(latents)], dim=2)
        channels = [one.channels_BCFHW for one in self._conditions if one.channels_BCFHW is not None]
        if channels:
            story = torch.cat((story, torch.cat(channels, dim=2)), dim=1)
        time = torch.where(self._shot == last, float(timestep), 0.0)
        if self._own.first_BCFHW is not None:
            at = len(self._shot) // len(states) * last
            time[at : at + self._shape[2] * self._shape[3] // 4] = 0.0  # the tokens of its first frame
        with torch.no_grad():
            out: Tensor = expert.transformer(
                story,
                time[None],
                torch.cat(states, dim=1),
                torch.cat(images, dim=1) if images else None,
                return_dict=False,
            )[0]
        return out[:, :, -latents.shape[2] :]

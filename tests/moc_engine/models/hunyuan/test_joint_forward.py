"""The third shot of a story equals one forward pass over all shots under a mask, at every step.

Takes are rendered one after the other by the renderer, remembered, and written to files. The joint pass knows
nothing of memories: it runs the clean tokens of earlier shots anew in each step, at time 0. Each shot sees
itself and its own captions; the video of the last one sees the video of all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import MemoryChoice, RoutingChoice, SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, RenderResult, finish
from moc_engine.models.backbone import Backbone
from moc_engine.models.hunyuan.transformer import project_captions, project_video
from moc_engine.models.loading import load_backbone
from moc_engine.ops.rotary import apply_rotary
from moc_engine.render.denoise import draw_noise
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.hunyuan_folder import hunyuan_folder

CAPTIONS = ("a fox runs", "fox at dawn", "a static fox")
STEPS = 3
SIZE = (64, 32)
SECONDS = 5 / 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


def story(renderer: ShotRenderer, output: Path, backend: str, memory: MemoryChoice) -> list[RenderResult]:
    context: list[ContextTake] = []
    results = []
    for shot, caption in enumerate(CAPTIONS):
        request = RenderRequest(
            previews=0,
            shot=shot,
            caption=caption,
            global_caption="dawn",
            cast=(),
            seconds=SECONDS,
            fps=24,
            size=SIZE,
            seed=shot,
            output=output / str(shot),
            context=tuple(context),
            routing=RoutingChoice(top_k=100, full_below=0, backend=backend if shot else "grouped"),
            sampler=SamplerChoice(steps=STEPS),
            memory=memory,
        )
        results.append(finish(renderer, request))
        context.append(
            ContextTake(
                id=caption,
                shot=shot,
                latents=LocalFile(results[-1].latents),
                caption=caption,
                global_caption="dawn",
                cast=(),
                seconds=SECONDS,
            )
        )
    return results


@pytest.mark.parametrize(
    ("backend", "memory", "paged", "allowed"),
    [
        ("naive", MemoryChoice(policy="all", storage="full"), False, 2e-4),
        ("grouped", MemoryChoice(policy="all", storage="full"), False, 2e-4),
        ("gathered", MemoryChoice(policy="all", storage="full"), False, 2e-4),
        ("grouped", MemoryChoice(policy="all", storage="int8"), True, 2e-3),
    ],
)
def test_a_story_of_three_shots_equals_one_pass_over_all(
    backend: str, memory: MemoryChoice, paged: bool, allowed: float, folder: Path, tmp_path: Path
) -> None:
    pages: dict[str, Any] = {
        "memory_budget": 0,
        "spill": tmp_path / "spill",
        "page_bytes": 0,
        "copied_bytes": 0,
    }
    renderer = ShotRenderer(folder, device="cpu", **(pages if paged else {}))
    results = story(renderer, tmp_path, backend, memory)
    for result in results:
        with av.open(result.clip) as clip:
            frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
        assert np.stack(frames).shape == (5, SIZE[1], SIZE[0], 3)
    trace = read_trace(results[2].trace)
    assert {chunk.kind for chunk in trace.context} == {"own", "history"}
    assert trace.backend == backend
    takes = [load_file(result.latents)["latents"] for result in results]
    backbone = load_backbone(folder, "cpu")
    joint = rendered(backbone, takes[:2], seed=2)
    torch.testing.assert_close(takes[2], joint, atol=allowed, rtol=allowed)
    assert not torch.allclose(takes[2], rendered(backbone, [], seed=2), atol=1e-2)


def rendered(backbone: Backbone, earlier: list[Tensor], seed: int) -> Tensor:
    """The last shot by passes over all."""
    shape = backbone.family.latent_shape(SECONDS, SIZE)
    scheduler = backbone.scheduler
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, STEPS + 1)[:-1])
    scheduler.set_begin_index(0)
    told = (*CAPTIONS[: len(earlier)], CAPTIONS[2])
    captions = [backbone.family.captions("dawn", caption, ()) for caption in told]
    states = torch.cat([caption.states_BSE for caption in captions])
    pooled = torch.cat([caption.pooled_BE for caption in captions if caption.pooled_BE is not None])
    transformer = backbone.transformer
    plain = PlainStory(transformer, shape, len(told))
    for block in backbone.adapter.blocks:
        block.attn.set_processor(plain)
    latents = draw_noise((1, *shape), seed)
    for timestep in scheduler.timesteps:
        with torch.no_grad():
            flow: Tensor = transformer(
                torch.cat([*(take[None] for take in earlier), latents]),
                torch.tensor([0.0] * len(earlier) + [float(timestep)]),
                states,
                torch.ones(states.shape[:2]),
                pooled,
                guidance=torch.full((len(told),), 6000.0),
                return_dict=False,
            )[0]
        latents = scheduler.step(flow[-1:], timestep, latents).prev_sample
    return latents[0]


class PlainStory:
    """A processor: the entries of a batch are the shots of a story, the last of which sees the video of all.

    Captions have no place in time, so every shot begins at time 0 for itself, and the last one sees the
    earlier ones at times below 0.
    """

    def __init__(self, transformer: Any, shape: tuple[int, int, int, int], shots: int) -> None:
        C, F, H, W = shape
        tables = [table[:, ::2] for table in transformer.rope(torch.empty(1, C, shots * F, H, W))]
        self._tokens = len(tables[0]) // shots
        self._cos, self._sin = (table[: self._tokens] for table in tables)
        self._later = [tuple(table[nth * self._tokens] for table in tables) for nth in range(shots)]

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        q, k, v = project_video(attn, hidden_states)
        words = project_captions(attn, encoder_hidden_states)
        q, k = (apply_rotary(x, self._cos, self._sin) for x in (q, k))
        own_k, own_v = torch.cat((k, words.k_BHSD), dim=2), torch.cat((v, words.v_BHSD), dim=2)
        picture = scaled_dot_product_attention(q, own_k, own_v)
        told = scaled_dot_product_attention(words.q_BHSD, own_k, own_v)
        last = len(q) - 1
        earlier = [
            apply_rotary(k[nth], cos, -sin)
            for nth, (cos, sin) in zip(range(last), reversed(self._later[1:]), strict=True)
        ]
        all_k, all_v = torch.cat((*earlier, own_k[-1]), dim=1), torch.cat((*v[:last], own_v[-1]), dim=1)
        picture[-1] = scaled_dot_product_attention(q[-1:], all_k[None], all_v[None])[0]
        picture, told = (x.transpose(1, 2).flatten(2) for x in (picture, told))
        if attn.to_out is not None:
            return attn.to_out[0](picture), attn.to_add_out(told)
        return picture, told

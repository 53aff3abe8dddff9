"""Denoising a shot of a story, end to end: a Wan transformer of random weights in the engine's render path.

MoC's denoising of a shot is compared with the same transformer attending to all shots: their keys rotated
once and side by side, by torch's fastest kernel. Before it is timed, MoC's output is compared with that of
another backend, and dense attention's with that of a router that may choose every chunk.

Shapes: N layers, B batch, H heads, L tokens of the shot, T tokens of the history, D head width.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig, SamplerConfig, Steering
from moc_engine.evaluation.benchmark.check import relative_error
from moc_engine.evaluation.benchmark.figures import Pairs, pairs_in_words, ratios, spread
from moc_engine.evaluation.benchmark.profile import profile_pass
from moc_engine.evaluation.benchmark.timing import clock_of, side_by_side
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.history import History
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import AttentionPass, CaptionStates
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.ops.rotary import apply_rotary
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import Angles, compute_memory

TOLERANCES: Final = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""The largest relative error of a pass of the transformer: choices that are nearly equal may differ."""

NAIVE_SCORES: Final = 1 << 28
"""Scores that the naive backend may hold here; beyond it, results are compared with `grouped`."""


@dataclass(frozen=True, kw_only=True)
class FilmSize:
    """The size of a transformer, its latents and a story. `shots` are the ones that are denoised."""

    name: str
    layers: int
    heads: int
    width: int
    feed_forward: int
    text_width: int
    frames: int
    height: int
    wide: int
    shots: tuple[int, ...]
    rounds: int
    dtype: str

    @property
    def tokens(self) -> int:
        return self.frames * (self.height // 2) * (self.wide // 2)


WAN_1_3B: Final = FilmSize(
    name="Wan 1.3B, 480p, 53 frames",
    layers=30,
    heads=12,
    width=128,
    feed_forward=8960,
    text_width=4096,
    frames=14,
    height=60,
    wide=104,
    shots=(2, 4, 8),
    rounds=3,
    dtype="bfloat16",
)

FEW_LAYERS: Final = FilmSize(
    name="four layers, 6 latent frames of 256 tokens",
    layers=4,
    heads=8,
    width=64,
    feed_forward=2048,
    text_width=64,
    frames=6,
    height=32,
    wide=32,
    shots=(2, 4, 8),
    rounds=7,
    dtype="float32",
)

TINY: Final = FilmSize(
    name="two layers, few tokens",
    layers=2,
    heads=2,
    width=24,
    feed_forward=64,
    text_width=16,
    frames=4,
    height=8,
    wide=8,
    shots=(2, 4),
    rounds=3,
    dtype="float32",
)


class RandomFamily:
    """A family of random caption states, whose transformer predicts the velocity itself."""

    routing = RoutingConfig(top_k=5, chunking="frame")
    sampler = SamplerConfig(steps=50, guidance=1.0)

    def model_input(self, latents_BCFHW: Tensor) -> Tensor:
        return latents_BCFHW

    def velocity(self, predicted_BCFHW: Tensor, latents_BCFHW: Tensor, level: Tensor) -> Tensor:
        return predicted_BCFHW


class DensePass:
    """Attention of a shot to its own tokens and all of the history, as fast as torch computes it.

    History keys are rotated once, with room beside them for the own ones.
    """

    def __init__(self, grid: TokenGrid, history: History, angles: Angles, device: torch.device) -> None:
        self._grid = grid
        self._angles = angles(grid.positions_3T.to(device))
        self._past = history.layout.tokens
        N, H, _, D = history.k_NHTD.shape
        self._k_NHTD = history.k_NHTD.new_empty(N, H, self._past + grid.tokens, D)
        self._v_NHTD = torch.empty_like(self._k_NHTD)
        cos, sin = angles(history.positions_3T.to(device))
        for layer in range(N):
            self._k_NHTD[layer, :, : self._past] = apply_rotary(history.k_NHTD[layer], cos, sin)
            self._v_NHTD[layer, :, : self._past] = history.v_NHTD[layer]
        self._kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
        if device.type == "cuda":
            self._kernels = [SDPBackend.CUDNN_ATTENTION, *self._kernels]

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        q, k, v = (self._grid.to_chunks(x, dim=2) for x in (q_BHLD, k_BHLD, v_BHLD))
        keys, values = self._k_NHTD[layer], self._v_NHTD[layer]
        keys[:, self._past :], values[:, self._past :] = apply_rotary(k, *self._angles)[0], v[0]
        with sdpa_kernel(self._kernels, set_priority=True):
            out = scaled_dot_product_attention(apply_rotary(q, *self._angles), keys[None], values[None])
        return self._grid.to_model(out, dim=2)


def measure_film(
    size: FilmSize, device: torch.device, *, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """The time of one pass of the transformer for each shot, and where it goes."""
    started = time.monotonic()
    film = RandomFilm(size, device)
    points = []
    for shot in size.shots:
        point = film.measure(shot)
        points.append(point)
        if "wrong" in point:
            say(f"  shot {shot}: WRONG: {point['wrong']}")
            continue
        say(
            f"  shot {shot}: MoC {point['milliseconds']} ms a pass ({point['backend']}), "
            f"{point['faster']} times as fast as dense with "
            f"{pairs_in_words(point['pairs_ratio'])}"
        )
    return {
        "part": "film",
        "size": {**asdict(size), "tokens": size.tokens, "top_k": RandomFamily.routing.top_k},
        "clock": clock_of(device),
        "seconds": time.monotonic() - started,
        "points": points,
    }


class RandomFilm:
    """A random transformer and the memories of the takes that come before the last shot that is denoised."""

    def __init__(self, size: FilmSize, device: torch.device) -> None:
        self.size, self.device = size, device
        self.backbone = random_backbone(size, device)
        self.grid = self.backbone.grid(self._shape, "frame")
        self.captions = CaptionStates(
            states_BSE=self._random(1, 512 if size.layers > 2 else 8, size.text_width)
        )
        self.memory = ContextMemory(device=device)
        for shot in range(max(size.shots) - 1):
            self.memory.add(f"{shot}", self.grid.extent, partial(self._memory_of, shot))
        self.latents = self._random(1, *self._shape)

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return 16, self.size.frames, self.size.height, self.size.wide

    def _random(self, *shape: int, seed: int = 0) -> Tensor:
        generator = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(*shape, generator=generator, device=self.device)

    def _memory_of(self, shot: int) -> Any:
        latents = self._random(*self._shape, seed=1 + shot)
        return compute_memory(
            self.backbone, latents, self.captions, chunking="frame", pooling="after", noise=0.0
        )

    def measure(self, shot: int) -> dict[str, Any]:
        """Figures of shot number `shot` (from 1)."""
        history = self.memory.history([f"{earlier}" for earlier in range(shot - 1)])
        assert history is not None
        routing = RandomFamily.routing
        attention = self._moc(shot, history, routing)
        dense = DensePass(self.grid, history, self.backbone.angles, self.device)
        found: dict[str, Any] = {
            "shot": shot,
            "backend": attention.chosen.backend.name,
            "errors": self._errors(shot, history, attention, dense),
        }
        allowed = TOLERANCES[self.backbone.transformer.dtype]
        for what, error in found["errors"].items():
            if not error <= allowed:
                return {
                    **found,
                    "wrong": f"relative error {error:.1e} of {what}, where {allowed:.0e} is allowed",
                }
        times = side_by_side(
            {"moc": partial(self.run, attention), "dense": partial(self.run, dense)},
            self.device,
            seconds=30.0,
            rounds=self.size.rounds,
        )
        faster = ratios(times["dense"], times["moc"])
        pairs = self._pairs(history)
        return {
            **found,
            "milliseconds": spread(times["moc"]),
            "dense_milliseconds": spread(times["dense"]),
            "faster": faster,
            "pairs_ratio": pairs.ratio,
            "profile": profile_pass(partial(self.run, attention), self.device),
            "dense_profile": profile_pass(partial(self.run, dense), self.device),
        }

    def run(self, attention: AttentionPass) -> Tensor:
        """One pass of the transformer: a step of denoising without guidance."""
        timestep = torch.tensor([500.0], device=self.device)
        with torch.no_grad():
            return self.backbone.velocity(self.latents, timestep, attention, self.captions)

    def _moc(self, shot: int, history: History, routing: RoutingConfig) -> DenoisingPass:
        context = AttentionContext(
            shot=shot - 1, grid=self.grid, history=history, routing=routing, steering=Steering()
        )
        return DenoisingPass(context, self.backbone.angles, self.device)

    def _errors(
        self, shot: int, history: History, attention: DenoisingPass, dense: DensePass
    ) -> dict[str, float]:
        routing = RandomFamily.routing
        scores = self.size.heads * self.size.tokens * (self.size.tokens + history.layout.tokens)
        others = ["naive", "grouped"] if scores <= NAIVE_SCORES else ["grouped"]
        other = next(name for name in others if name != attention.chosen.backend.name)
        errors = {}
        right = self.run(self._moc(shot, history, replace(routing, backend=other)))
        errors[f"MoC, compared with {other}"] = relative_error(self.run(attention), right)
        if shot == min(self.size.shots):
            everything = replace(routing, top_k=history.layout.chunks, backend=other)
            right = self.run(self._moc(shot, history, everything))
            errors[f"dense, compared with {other}"] = relative_error(self.run(dense), right)
        return errors

    def _pairs(self, history: History) -> Pairs:
        own, past = self.grid.tokens, history.layout.tokens
        routed = min(RandomFamily.routing.top_k, history.layout.chunks) * (own // self.size.frames)
        return Pairs(dense=own * (own + past), attended=own * (own + routed))


def random_backbone(size: FilmSize, device: torch.device) -> Backbone:
    """A Wan transformer of random weights; raises `ImportError` without diffusers."""
    from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel

    torch.manual_seed(0)
    with torch.device(device):
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=size.heads,
            attention_head_dim=size.width,
            in_channels=16,
            out_channels=16,
            text_dim=size.text_width,
            freq_dim=256,
            ffn_dim=size.feed_forward,
            num_layers=size.layers,
        )
    family: Any = RandomFamily()
    return Backbone(
        name=size.name,
        adapter=WanAdapter(_in_dtype(transformer, getattr(torch, size.dtype)).eval()),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        family=family,
        device=device,
    )


def _in_dtype(transformer: Any, dtype: torch.dtype) -> nn.Module:
    """The transformer in `dtype`, but for the parts that are loaded in float32 whatever is asked for."""
    kept = set(getattr(transformer, "_keep_in_fp32_modules", None) or ())
    for name, weight in transformer.named_parameters():
        if not kept & set(name.split(".")):
            weight.data = weight.data.to(dtype)
    module: nn.Module = transformer
    return module

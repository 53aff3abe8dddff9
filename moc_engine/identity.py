"""Who looks alike in two takes, by the model's own features: vectors to keep beside a take, and a distance.

A take is read once more, alone, as for its memory; features of the tokens that show somebody are averaged.
Diffusion features tell correspondences without training (Tang et al., "Emergent Correspondence from Image
Diffusion", NeurIPS 2023); which layer and noise level tell most is measured by `moc-studio eval identity`.

Shapes: C channels, F latent frames, H and W latent sides, L tokens, E width of the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.backbone import Backbone
from moc_engine.sampler import draw_noise
from moc_engine.trace import EMPTY
from moc_engine.wan import CaptionStates, apply_rotary

Kind = Literal["input", "key", "value", "output"]
"""What is read in a layer: the input of its self-attention, keys before rotary embedding, values, or what the
layer hands on."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SHOT: Final = "shot"
"""Names the vector of a whole take where a model's places have no names."""

Vector = NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Where features are read: `layer` from 0, at noise level `noise` (0–1)."""

    layer: int
    noise: float
    kind: Kind


DEPTH: Final = 0.5
"""How far into the model: its layer 3 of 0–5, the embedded one's."""

NOISE: Final = 0.0
KIND: Final[Kind] = "value"

ANOTHER_LOOK: Final = 0.106
"""From this `distance` on somebody looks otherwise, as the usual reading of the embedded model tells best."""


def usual_reading(backbone: Backbone) -> Reading:
    """Values at half depth, without noise: best for the embedded model; of others nothing is measured.

    Values carry looks where keys carry what is to be found by. Of pairs of takes of one film that show one
    cast member, in ten held-out stories, values of layer 3 (from 0) tell other looks from the same with an
    AUC of .988 (.977–.998) in generated takes and .988 (.976–.999) in drawn ones; `ANOTHER_LOOK` puts .968
    and .955 on the right side; Spearman's correlation with the distance of looks is .77 (.66–.85) and .80
    (.65–.87). In the ten stories it was chosen by, the best of others: keys of that layer .94, values of
    layer 2 .95, inputs of attention .84, outputs .79; noise only blurs (.98 at .1, .91 at .5). The latents
    averaged likewise: .76. Cosine, Euclidean distance and the cosine less each vector's mean differ by about
    .002. `moc-studio eval identity` measures it.
    """
    layers = int(backbone.transformer.config.num_layers)
    return Reading(layer=min(layers - 1, int(DEPTH * layers)), noise=NOISE, kind=KIND)


def identify(
    backbone: Backbone,
    latents_CFHW: Tensor,
    *,
    global_caption: str,
    caption: str,
    cast: Sequence[str],
    reading: Reading | None = None,
) -> dict[str, Vector]:
    """A vector (E,) in float16 for everything that a take shows and has a name: its cast, its set, its props.

    Places that show the same share one. A model whose places have no names (a grid's) gives one vector for
    the whole take, called `SHOT`. Raises `ValueError` for a layer that the model does not have.
    """
    reading = usual_reading(backbone) if reading is None else reading
    captions = backbone.family.captions(global_caption, caption, cast)
    found = features(backbone, latents_CFHW, captions, noise=reading.noise)
    if (reading.layer, reading.kind) not in found:
        raise ValueError(f"layer: the model has no layer {reading.layer}")
    tokens = found[reading.layer, reading.kind]
    masks = masks_of(backbone, latents_CFHW, cast)
    return {name: pooled(tokens, mask).numpy().astype(np.float16) for name, mask in masks.items()}


def distance(one: ArrayLike, other: ArrayLike) -> float:
    """The cosine distance of two vectors (E,): 0 alike, 1 nothing in common, 2 opposed.

    Raises `ValueError` for vectors of different length.
    """
    a, b = (np.asarray(vector, dtype=np.float64) for vector in (one, other))
    if a.shape != b.shape:
        raise ValueError(f"other: expected a vector of {a.shape}, got {b.shape}")
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return 1.0 - float(a @ b) / length if length else 0.0


def masks_of(backbone: Backbone, latents_CFHW: Tensor, cast: Sequence[str]) -> Mapping[str, Tensor]:
    """Which tokens (L,), frame by frame, show whom or what; `SHOT`: all of them."""
    grid = backbone.grid(latents_CFHW.shape, "frame")
    places = backbone.family.places(latents_CFHW, cast)
    if not places:
        return {SHOT: torch.ones(grid.tokens, dtype=torch.bool)}
    names = dict.fromkeys(name for name in places if not name.endswith(EMPTY))
    return {name: torch.tensor([place == name for place in places]).repeat(grid.frames) for name in names}


def pooled(features_LE: Tensor, mask_L: Tensor) -> Tensor:
    """The mean (E,) of the masked tokens; `mask_L` may be bool or weights, such as attention to a name.

    Raises `ValueError` where no token counts.
    """
    weights = mask_L.to(features_LE)
    if not float(weights.sum()) > 0.0:
        raise ValueError("mask_L: no token counts")
    return (weights @ features_LE) / weights.sum()


@torch.no_grad()
def features(
    backbone: Backbone, latents_CFHW: Tensor, captions: CaptionStates, *, noise: float
) -> dict[tuple[int, Kind], Tensor]:
    """The features (L, E) of all tokens, frame by frame, in float32 on the CPU, of every layer and kind.

    One pass over the take alone, at noise level `noise`; the noise is the same for all takes of a shape.
    """
    clean = latents_CFHW.float()
    noisy = torch.lerp(clean, draw_noise(clean.shape, 0), noise) if noise else clean
    attention = _FeaturePass(backbone, clean.shape)
    hooks = [
        hook
        for layer, block in enumerate(backbone.transformer.blocks)
        for hook in (
            block.attn1.register_forward_pre_hook(attention.takes_input(layer), with_kwargs=True),
            block.register_forward_hook(attention.takes_output(layer)),
        )
    ]
    timestep = torch.tensor([noise * backbone.scheduler.config.num_train_timesteps], device=backbone.device)
    try:
        backbone.predict(noisy[None].to(backbone.device), timestep, attention, captions)
    finally:
        for hook in hooks:
            hook.remove()
    return attention.found


class _FeaturePass:
    """Full self-attention of one take that keeps what passes by."""

    def __init__(self, backbone: Backbone, shape: Sequence[int]) -> None:
        self.found: dict[tuple[int, Kind], Tensor] = {}
        positions = backbone.grid(shape, "frame").positions_3T
        self._angles = backbone.angles(positions.to(backbone.device))

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        self._keep(layer, "key", k_BHLD.transpose(1, 2).flatten(2))
        self._keep(layer, "value", v_BHLD.transpose(1, 2).flatten(2))
        q, k = (apply_rotary(x, *self._angles) for x in (q_BHLD, k_BHLD))
        return scaled_dot_product_attention(q, k, v_BHLD)

    def takes_input(self, layer: int) -> Any:
        def hook(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._keep(layer, "input", args[0] if args else named["hidden_states"])

        return hook

    def takes_output(self, layer: int) -> Any:
        def hook(_: Any, __: Any, out: Tensor) -> None:
            self._keep(layer, "output", out)

        return hook

    def _keep(self, layer: int, kind: Kind, x_BLE: Tensor) -> None:
        self.found[layer, kind] = x_BLE[0].float().cpu()

"""The features of a finished take, token by token, and how much its tokens attend to names.

One pass over the take alone, as for its memory. Diffusion features show correspondences without training
(Tang et al., "Emergent Correspondence from Image Diffusion", NeurIPS 2023), and attention to a word shows
where its object is (Tang et al., "What the DAAM", ACL 2023).

Shapes: C channels, F latent frames, H and W latent sides, L tokens, E width of the features, S states of the
captions.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor

from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.models.dense_attention import attend_densely
from moc_engine.models.wan_transformer import project_qkv
from moc_engine.ops.rotary import apply_rotary
from moc_engine.render.denoise import draw_noise

Kind = Literal["input", "key", "value", "output"]
"""The kind of feature of a layer: the input of its self-attention, its keys before rotary embedding, its
values, or the layer's output."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

NAME_LAYERS: Final = 1 / 3
"""The share of the layers, from the first, whose attention to words locates objects: of the embedded model's
six layers, the first two did so best in twenty stories."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """The features of all tokens of a take, frame by frame, in float32 on the CPU.

    `tokens` (L, E) by layer and kind; `named` (L,) the mean attention, 0–1, that tokens pay to a name.
    """

    tokens: Mapping[tuple[int, Kind], Tensor]
    named: Mapping[str, Tensor]


@torch.no_grad()
def features(
    backbone: Backbone,
    latents_CFHW: Tensor,
    captions: CaptionStates,
    *,
    noise: float,
    wanted: Container[tuple[int, Kind]] | None = None,
    names: Mapping[str, Sequence[int]] | None = None,
) -> Features:
    """One pass over the take alone at noise level `noise` (0–1), the same noise for all takes of a shape.

    Keeps the `wanted` (layer, kind) pairs, all where None; `names` maps names to their states in `captions`.
    """
    clean = latents_CFHW.float()
    noisy = torch.lerp(clean, draw_noise(clean.shape, 0), noise) if noise else clean
    attention = _FeaturePass(backbone, clean.shape, wanted)
    timestep = torch.tensor([noise * backbone.scheduler.config.num_train_timesteps], device=backbone.device)
    condition = backbone.condition_of(clean)
    name_attention = _NameAttention(captions, names or {})
    layers = list(enumerate(backbone.transformer.blocks))
    name_layers = layers[: max(1, round(NAME_LAYERS * len(layers)))] if names else []
    with ExitStack() as hooks:
        for nth, block in layers:
            before = block.attn1.register_forward_pre_hook(attention.takes_input(nth), with_kwargs=True)
            hooks.callback(before.remove)
            hooks.callback(block.register_forward_hook(attention.takes_output(nth)).remove)
        for _, block in name_layers:
            before = block.attn2.register_forward_pre_hook(name_attention.record, with_kwargs=True)
            hooks.callback(before.remove)
        backbone.predict(noisy[None].to(backbone.device), timestep, attention, captions, condition)
    return Features(tokens=attention.found, named=name_attention.means())


class _NameAttention:
    """Averages over layers how much tokens attend to the text states of names."""

    def __init__(self, captions: CaptionStates, names: Mapping[str, Sequence[int]]) -> None:
        self._captions = captions
        self._names = names
        self._layers: list[Tensor] = []

    def record(self, attn: Any, args: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        """A hook that runs before a layer attends to the captions."""
        hidden = args[0] if args else named["hidden_states"]
        encoder = args[1] if len(args) > 1 else named["encoder_hidden_states"]
        q_BHLD, k_BHSD, _ = project_qkv(attn, hidden, encoder[:, -self._captions.states_BSE.shape[1] :])
        mask = self._captions.mask_BS
        total = q_BHLD.new_zeros(q_BHLD.shape[2], len(self._names), dtype=torch.float32)
        for q_LD, k_SD in zip(q_BHLD[0], k_BHSD[0], strict=True):  # a head at a time: L × S is large
            logits = q_LD.float() @ k_SD.float().T / q_LD.shape[-1] ** 0.5
            if mask is not None:
                logits = logits.masked_fill(~mask[0].to(logits.device), float("-inf"))
            shares = logits.softmax(-1)
            total += torch.stack([shares[:, list(at)].mean(-1) for at in self._names.values()], dim=-1)
        self._layers.append(total.cpu() / q_BHLD.shape[1])

    def means(self) -> dict[str, Tensor]:
        if not self._layers:
            return {}
        return dict(zip(self._names, torch.stack(self._layers).mean(0).T, strict=True))


class _FeaturePass:
    """Full self-attention within one take that keeps the wanted features."""

    def __init__(
        self, backbone: Backbone, shape: Sequence[int], wanted: Container[tuple[int, Kind]] | None
    ) -> None:
        self.found: dict[tuple[int, Kind], Tensor] = {}
        self._wanted = wanted
        positions = backbone.grid(shape, "frame").positions_3T
        self._dense_backend = backbone.adapter.dense_backend
        self._angles = backbone.angles(positions.to(backbone.device))

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        self._keep(layer, "key", k_BHLD.transpose(1, 2).flatten(2))
        self._keep(layer, "value", v_BHLD.transpose(1, 2).flatten(2))
        q, k = (apply_rotary(x, *self._angles) for x in (q_BHLD, k_BHLD))
        return attend_densely(q, k, v_BHLD, backend=self._dense_backend)

    def takes_input(self, layer: int) -> Any:
        def hook(_: Any, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._keep(layer, "input", args[0] if args else named["hidden_states"])

        return hook

    def takes_output(self, layer: int) -> Any:
        def hook(_: Any, __: Any, out: Tensor) -> None:
            self._keep(layer, "output", out)

        return hook

    def _keep(self, layer: int, kind: Kind, x_BLE: Tensor) -> None:
        if self._wanted is None or (layer, kind) in self._wanted:
            self.found[layer, kind] = x_BLE[0].float().cpu()

"""Access to diffusers' Wan transformers: projections, rotary angles, attention processors.

Shapes: B batch, H heads, L video tokens, S text states, I image states, D head width, E width of states.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from torch import Tensor, nn

from moc_engine.models.base import AttentionPass, CaptionStates
from moc_engine.models.compiled_blocks import left_out_of_graphs
from moc_engine.models.dense_attention import NATIVE, attend_densely, dense_backend
from moc_engine.ops.rotary import axis_angles

ROTARY_BASE: Final = 10000.0


def project_qkv(
    attn: nn.Module, hidden_BLE: Tensor, encoder_BSE: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, H, L or S, D) of a `WanAttention`, normalised, not rotated.

    Keys and values come from `encoder_BSE` where given; fused projections are honoured.
    """
    module: Any = attn
    if encoder_BSE is not None:
        return project_q(attn, hidden_BLE), *project_kv(attn, encoder_BSE)
    if getattr(module, "fused_projections", False) and hasattr(module, "to_qkv"):
        q, k, v = module.to_qkv(hidden_BLE).chunk(3, dim=-1)
        q, k = module.norm_q(q), module.norm_k(k)
        return split_heads(q, module.heads), split_heads(k, module.heads), split_heads(v, module.heads)
    return project_q(attn, hidden_BLE), *project_kv(attn, hidden_BLE)


def project_q(attn: nn.Module, hidden_BLE: Tensor) -> Tensor:
    """The queries (B, H, L, D) of a `WanAttention`, as `project_qkv`."""
    module: Any = attn
    return split_heads(module.norm_q(module.to_q(hidden_BLE)), module.heads)


def project_kv(attn: nn.Module, encoder_BSE: Tensor) -> tuple[Tensor, Tensor]:
    """The keys and values (B, H, S, D) of a `WanAttention`, as `project_qkv`."""
    module: Any = attn
    if getattr(module, "fused_projections", False):
        k, v = module.to_kv(encoder_BSE).chunk(2, dim=-1)
    else:
        k, v = module.to_k(encoder_BSE), module.to_v(encoder_BSE)
    return split_heads(module.norm_k(k), module.heads), split_heads(v, module.heads)


def split_heads(x_BLE: Tensor, heads: int) -> Tensor:
    """(B, L, H · D) as (B, H, L, D)."""
    return x_BLE.view(*x_BLE.shape[:2], heads, -1).transpose(1, 2)


def rotary_angles(
    model: nn.Module | Mapping[str, Any],
    positions_t: Tensor,
    positions_h: Tensor,
    positions_w: Tensor,
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (..., D / 2) in float32 for tokens at any positions (...), negative ones too.

    `model` is a Wan transformer or its config. Worked out in float64, with the head's width split over
    time, height and width as `WanRotaryPosEmbed` does, whose own table begins at 0 and ends.
    """
    config: Any = model if isinstance(model, Mapping) else model.config
    width = int(config["attention_head_dim"])
    across = 2 * (width // 6)
    widths = (width - 2 * across, across, across)
    return axis_angles((positions_t, positions_h, positions_w), widths, ROTARY_BASE)


@contextmanager
def attending(
    transformer: nn.Module,
    attention: AttentionPass,
    captions: CaptionStates,
    *,
    compiled: bool = False,
    beside: Sequence[nn.Module] = (),
) -> Iterator[None]:
    """Within the block the transformer attends by `attention`, and to `captions` alone.

    Its own processors come back afterwards; nothing else about it changes. Blocks `beside` those of the
    transformer attend to the captions too, and among themselves as they are. With `compiled`, graphs of
    torch.compile leave the pass out.
    """
    module: Any = transformer
    layers: list[tuple[Any, Any]] = [(block.attn1, block.attn1.processor) for block in module.blocks]
    told: list[tuple[Any, Any]] = [
        (block.attn2, block.attn2.processor) for block in (*module.blocks, *beside)
    ]
    try:
        for layer, (attn, _) in enumerate(layers):
            attn.set_processor(SelfAttention(attention, layer, compiled=compiled))
        for attn, processor in told:
            name = dense_backend(processor)
            attn.set_processor(CaptionAttention(captions, compiled=compiled, backend=name))
        yield
    finally:
        for attn, processor in (*layers, *told):
            attn.set_processor(processor)


class SelfAttention:
    """Processor of one layer's self-attention: projects, and leaves the attention itself to the pass."""

    def __init__(self, attention: AttentionPass, layer: int, *, compiled: bool = False) -> None:
        self._pass = attention
        self._layer = layer
        self._attend = left_out_of_graphs(_attend) if compiled else _attend

    def __call__(self, attn: Any, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        q, k, v = project_qkv(attn, hidden_states)
        return _project_out(attn, self._attend(self, q, k, v.type_as(q)))


def _attend(processor: SelfAttention, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
    return processor._pass.attend(processor._layer, q_BHLD, k_BHLD, v_BHLD)


class CaptionAttention:
    """Processor of cross-attention to the captions of a shot, and to an image where the model has one.

    Image states stand before the captions' and are attended to by a softmax of their own. `backend` is one of
    diffusers.
    """

    def __init__(self, captions: CaptionStates, *, compiled: bool = False, backend: str = NATIVE) -> None:
        self._backend = backend
        self._states = captions.states_BSE.shape[1]
        self._kept = captions.kept
        self._keys = left_out_of_graphs(_caption_keys) if compiled else _caption_keys
        self._mask = None if captions.mask_BS is None else captions.mask_BS[:, None, None]

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: object, **__: object
    ) -> Tensor:
        image, text = encoder_hidden_states.tensor_split(
            [encoder_hidden_states.shape[1] - self._states], dim=1
        )
        q = project_q(attn, hidden_states)
        k, v = self._keys(self, attn, text)
        out = attend_densely(q, k, v.type_as(q), self._mask, self._backend)
        if attn.add_k_proj is not None and image.shape[1]:
            k, v = _project_image(attn, image)
            out = out + attend_densely(q, k, v.type_as(q), None, self._backend)
        return _project_out(attn, out)


def _caption_keys(processor: CaptionAttention, attn: Any, text_BSE: Tensor) -> tuple[Tensor, Tensor]:
    """The keys and values of the captions; kept ones of a larger batch begin with those of this one."""
    kept = processor._kept
    if kept is None:
        return project_kv(attn, text_BSE)
    if attn not in kept or len(kept[attn][0]) < len(text_BSE):
        kept[attn] = project_kv(attn, text_BSE)
    k, v = kept[attn]
    return k[: len(text_BSE)], v[: len(text_BSE)]


def _project_image(attn: Any, image_BIE: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values (B, H, I, D) of image states."""
    if getattr(attn, "fused_projections", False):
        k, v = attn.to_added_kv(image_BIE).chunk(2, dim=-1)
    else:
        k, v = attn.add_k_proj(image_BIE), attn.add_v_proj(image_BIE)
    return split_heads(attn.norm_added_k(k), attn.heads), split_heads(v, attn.heads)


def _project_out(attn: Any, out_BHLD: Tensor) -> Tensor:
    """Joins the heads and applies the output projection, dropout included."""
    out: Tensor = out_BHLD.transpose(1, 2).flatten(2)
    for layer in attn.to_out:
        out = layer(out)
    return out

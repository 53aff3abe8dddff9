"""How much a step has to compute, in operations of arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moc_engine.training.tuning.recipe import TuningRecipe

FORWARD, BACKWARD = 1.0, 2.0
"""A backward pass has twice the operations of a forward pass, for inputs and weights alike."""


def step_work(
    transformer: Any,
    recipe: TuningRecipe,
    stories: Sequence[Sequence[tuple[int, int, int, int]]],
    step: int,
    *,
    caption_states: int,
) -> float:
    """The operations of a step on stories of shots with latents (C, F, H, W), whose captions are so long."""
    config = transformer.config
    width = int(config.num_attention_heads) * int(config.attention_head_dim)
    layers = int(config.num_layers)
    in_matrices = 2.0 * layers * (8 * width * width + 2 * width * int(config.ffn_dim))
    in_attention = 4.0 * layers * width
    top_k = recipe.top_k(step)
    total = 0.0
    for shots in stories:
        sizes = [_tokens(shape, config.patch_size) for shape in shots]
        frames = [shape[1] // int(config.patch_size[0]) for shape in shots]
        count = min(len(sizes), recipe.denoised or len(sizes))
        noisy = count / len(sizes)
        rows = [(size, noisy) for size in sizes] + [(size, 1.0) for size in sizes[:-1]]
        total += sum(share * size * in_matrices for size, share in rows)
        pairs = sum(share * size * (size + caption_states) for size, share in rows)
        for at, size in enumerate(sizes):
            earlier = sum(sizes[:at])
            chunk = size / max(1, frames[at])
            routed = earlier if top_k is None else min(earlier, top_k * chunk)
            pairs += noisy * size * routed
        total += pairs * in_attention
    return total * (FORWARD + BACKWARD + (FORWARD if recipe.checkpointing else 0.0))


def _tokens(shape: tuple[int, int, int, int], patch: Sequence[int]) -> int:
    _, frames, height, width = shape
    over_time, over_height, over_width = patch
    return frames // over_time * (height // over_height) * (width // over_width)

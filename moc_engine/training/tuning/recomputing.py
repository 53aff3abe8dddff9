"""Gradient checkpointing of a transformer's blocks whose attention is not the transformer's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from moc_engine.training.attention import differentiable_attention


@contextmanager
def recomputed_blocks(transformer: Any) -> Iterator[None]:
    """Within the context, runs of the transformer keep only what goes into each block.

    The backward pass computes a block again, by the attention processors that it has now: they must choose
    the same when asked twice. The transformer's own setting comes back afterwards.
    """
    processors = {block: (block.attn1.processor, block.attn2.processor) for block in transformer.blocks}

    def run(block: Any, *inputs: Any) -> Tensor:
        # no random numbers but those that the processors seed themselves
        return checkpoint(  # type: ignore[no-any-return]
            partial(_run_block, block, processors[block]),
            *inputs,
            use_reentrant=False,
            preserve_rng_state=False,
        )

    before = transformer.gradient_checkpointing, getattr(transformer, "_gradient_checkpointing_func", None)
    transformer.gradient_checkpointing, transformer._gradient_checkpointing_func = True, run
    try:
        yield
    finally:
        transformer.gradient_checkpointing, transformer._gradient_checkpointing_func = before


def _run_block(block: Any, processors: tuple[Any, Any], hidden: Tensor, *inputs: Any) -> Tensor:
    """Runs a block by the given processors, and puts those back that it had."""
    layers = (block.attn1, block.attn2)
    before = [layer.processor for layer in layers]
    try:
        for layer, processor in zip(layers, processors, strict=True):
            layer.set_processor(processor)
        with differentiable_attention(torch.device(hidden.device)):
            out: Tensor = block(hidden, *inputs)
            return out
    finally:
        for layer, processor in zip(layers, before, strict=True):
            layer.set_processor(processor)

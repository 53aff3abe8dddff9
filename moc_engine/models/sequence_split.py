"""Splits the sequence of a transformer of diffusers over processes: each runs its blocks on its own tokens.

Where sequences are split and joined is told by the model's plan for context parallelism (`_cp_plan`), and
split by the hooks of diffusers. Joining is done here: diffusers gathers parts of unequal length by a call
that gloo refuses. Attention within is left to the pass, which gets all tokens of the heads of this process
(`HeadSplit`).

Shapes: B batch, H heads, N heads of this process, S tokens of this process, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from moc_engine.errors import EngineError
from moc_engine.models.base import AttentionPass
from moc_engine.ops.head_split import HeadSplit


@contextmanager
def split_sequence(transformer: Any, split: HeadSplit, tokens: int) -> Iterator[None]:
    """Within the context each process runs the transformer on its part of `tokens`, and gets all outputs.

    Raises `EngineError` for a transformer without a plan.
    """
    from diffusers.hooks.context_parallel import apply_context_parallel, remove_context_parallel
    from diffusers.models._modeling_parallel import ContextParallelConfig, ContextParallelOutput

    plan = getattr(transformer, "_cp_plan", None)
    if plan is None:
        raise EngineError(f"{type(transformer).__name__} has no plan for several processes")
    joined = [name for name, what in plan.items() if isinstance(what, ContextParallelOutput)]
    inputs = {name: what for name, what in plan.items() if name not in joined}
    config: Any = ContextParallelConfig(ulysses_degree=split.processes, ulysses_anything=True)
    config._flattened_mesh = _Mesh(split)
    apply_context_parallel(transformer, config, inputs)
    with ExitStack() as hooks:
        hooks.callback(remove_context_parallel, transformer, inputs)
        for name in joined:
            assert plan[name].gather_dim == 1, "tokens are the second dimension"

            def join(module: Any, given: Any, out: Tensor) -> Tensor:
                return split.gather_tokens(out, tokens)

            hooks.callback(transformer.get_submodule(name).register_forward_hook(join).remove)
        yield


class _Mesh:
    """What the splitting hooks of diffusers ask of a device mesh: the group of a `HeadSplit`."""

    def __init__(self, split: HeadSplit) -> None:
        self._split = split

    def size(self) -> int:
        return self._split.processes

    def get_group(self) -> torch.distributed.ProcessGroup:
        return self._split.group


class AttentionByHeads:
    """A pass over the tokens of this process, whose attention is that of `attention` for its heads."""

    def __init__(self, attention: AttentionPass, split: HeadSplit, tokens: int) -> None:
        self._attention = attention
        self._split = split
        self._tokens = tokens

    def attend(self, layer: int, q_BHSD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor) -> Tensor:
        q, k, v = self._split.to_heads(torch.stack((q_BHSD, k_BHSD, v_BHSD)), self._tokens)
        out_BNLD = self._attention.attend(layer, q, k, v)
        return self._split.to_tokens(out_BNLD, q_BHSD.shape[1])

"""Weights that are spread over processes (FSDP): sharding a model, and gathering what lies in pieces.

Parameters of a sharded model are `DTensor`s. What is written to files is gathered whole on every process, and
what is read is spread again, so that files do not depend on how many processes there were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn


def shard(model: nn.Module, blocks: Sequence[nn.Module]) -> None:
    """Spreads the weights of a model over all processes, block by block; each is gathered while it runs."""
    from torch.distributed.fsdp import fully_shard

    for block in blocks:
        fully_shard(block)
    fully_shard(model)


def local(tensor: Tensor) -> Tensor:
    """What lies here of a tensor, sharing its memory; all of it unless it is sharded."""
    to_local = getattr(tensor, "to_local", None)
    return tensor if to_local is None else to_local()


def gathered(value: Any, *, keep: bool) -> Any:
    """Nested dicts and lists with each tensor whole and on the CPU; None for tensors without `keep`.

    All processes must call it alike.
    """
    if isinstance(value, Mapping):
        return {key: gathered(inner, keep=keep) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [gathered(inner, keep=keep) for inner in value]
    if isinstance(value, Tensor):
        full_tensor = getattr(value, "full_tensor", None)
        whole = value if full_tensor is None else full_tensor()
        return whole.detach().to("cpu", copy=True) if keep else None
    return value


def spread(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor as `like` lies: on its device, and sharded as it is."""
    placements = getattr(like, "placements", None)
    if placements is None:
        return value.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    return distribute_tensor(value.to(like.device), mesh, placements)

"""Captures tensor operations and replays them into the same tensors, as a CUDA graph does, on any device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Tape(TorchDispatchMode):
    """Notes each operation with its tensors; what it writes into is put back by `undo`."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Sequence[Any], Mapping[str, Any], list[Tensor]]] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        if func._schema.is_mutable:
            self._before += [(x, x.clone()) for x in given]
        out = func(*args, **kwargs)
        storages = {x.untyped_storage().data_ptr() for x in given}
        fresh = [
            x
            for x in tree_leaves(out)
            if isinstance(x, Tensor) and x.untyped_storage().data_ptr() not in storages
        ]
        self.operations.append((func, args, kwargs, fresh))
        return out

    def undo(self) -> None:
        for tensor, before in reversed(self._before):
            tensor.copy_(before)

    def replay(self) -> None:
        for func, args, kwargs, fresh in self.operations:
            out = func(*args, **kwargs)
            if fresh:
                found = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
                for tensor, new in zip(fresh, found, strict=True):
                    tensor.copy_(new)


def capture_on_tape(work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """As `captured_velocity.capture_cuda_graph`: whatever Python decides is decided while capturing."""
    tape = _Tape()
    with torch.no_grad(), tape:
        out = work()
    tape.undo()
    return out, torch.no_grad()(tape.replay)

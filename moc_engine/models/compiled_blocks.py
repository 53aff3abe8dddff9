"""Compiles the blocks of a transformer with torch.compile, but for the attention within them.

Norms, modulations, projections and the feed-forward network become a few graphs, which all blocks share. The
attention is left out: it has kernels of its own, and keeps what it attends to in Python objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, TypeVar

import torch

from moc_engine.errors import EngineError

Function = TypeVar("Function", bound=Callable[..., Any])


@lru_cache
def left_out_of_graphs(function: Function) -> Function:
    """The function as one that graphs of torch.compile stop before and go on after."""
    left_out: Function = torch.compiler.disable(function)
    return left_out


class CompiledBlocks:
    """The `blocks` of a transformer, compiled when they first run within `used`; else they run as they are.

    `backend` is one of torch.compile; the default needs a compiler: a C++ one on a CPU, Triton on a GPU.
    """

    def __init__(self, blocks: Sequence[Any], backend: str | Callable[..., Any] = "inductor") -> None:
        self._blocks = list(blocks)
        kinds = {type(block) for block in self._blocks}
        self._forward = {kind: torch.compile(kind.forward, backend=backend) for kind in kinds}

    @contextmanager
    def used(self) -> Iterator[None]:
        """Within this context the compiled blocks run. Raises `EngineError` where they cannot be compiled."""
        from torch._dynamo.exc import TorchDynamoException

        try:
            for block in self._blocks:
                block.forward = partial(self._forward[type(block)], block)
            yield
        except TorchDynamoException as error:
            if "InvalidCxxCompiler" in str(error):
                raise EngineError(
                    "compiling the model (--compile) needs a C++ compiler, and none was found: install one, "
                    "such as with 'apt-get install g++', or render without"
                ) from error
            cause = " ".join(str(error).strip().partition("\n\n")[0].split())
            raise EngineError(f"the model cannot be compiled, render it without: {cause}") from error
        finally:
            for block in self._blocks:
                del block.forward

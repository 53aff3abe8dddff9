"""Compiles the blocks of a Wan transformer with torch.compile, but for the attention within them.

Norms, modulations, projections and the feed-forward network become a few graphs, which all blocks share. The
attention is left out: it has kernels of its own, and keeps what it attends to in Python objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from moc_engine.errors import EngineError


class CompiledBlocks:
    """The blocks of a transformer, compiled when they first run within `used`; else they run as they are.

    `backend` is one of torch.compile; the default needs a compiler: a C++ one on a CPU, Triton on a GPU.
    """

    def __init__(self, transformer: Any, backend: str | Callable[..., Any] = "inductor") -> None:
        self._blocks = list(transformer.blocks)
        self._forward = torch.compile(type(self._blocks[0]).forward, backend=backend)

    @contextmanager
    def used(self) -> Iterator[None]:
        """Within this context the compiled blocks run. Raises `EngineError` where they cannot be compiled."""
        from torch._dynamo.exc import TorchDynamoException

        try:
            for block in self._blocks:
                block.forward = partial(self._forward, block)
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

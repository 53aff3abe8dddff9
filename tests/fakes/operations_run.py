"""Which operations of torch run within a block."""

from typing import Any, Final

from torch.utils._python_dispatch import TorchDispatchMode

FUSED: Final = "_scaled_dot_product_flash_attention_for_cpu"
"""Torch's fused attention of a CPU."""


class OperationsRun(TorchDispatchMode):
    """Lists the names of the operations that run within it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))

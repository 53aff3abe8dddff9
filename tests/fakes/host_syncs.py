"""Raises at what makes the host wait for its device, without a device: on the meta device and on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

READS_BACK: Final = {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero"}
"""Operations whose result, or its size, is read by the host."""

COPIES: Final = {"aten::_to_copy", "aten::copy_"}

MADE_ON_THE_HOST: Final = {torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.new_tensor}
"""What makes a tensor of the host's numbers, which is then copied to the device."""

READ_BY_THE_HOST: Final = {Tensor.numpy, Tensor.tolist, Tensor.item}


class HostSync(AssertionError):
    """The host would have waited for the device."""


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name
        if name in READS_BACK or (name in COPIES and len(_devices(args, kwargs or {})) > 1):
            raise HostSync(name)
        masks = args[1] if name == "aten::index" else ()
        if any(mask is not None and mask.dtype in (torch.bool, torch.uint8) for mask in masks):
            raise HostSync("an index by a mask")
        return func(*args, **(kwargs or {}))


class _Functions(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in MADE_ON_THE_HOST or func in READ_BY_THE_HOST:
            raise HostSync(func.__name__)
        return func(*args, **(kwargs or {}))


def _devices(args: Sequence[Any], kwargs: Mapping[str, Any]) -> set[torch.device]:
    devices = {arg.device for arg in args if isinstance(arg, Tensor)}
    return devices if kwargs.get("device") is None else devices | {torch.device(kwargs["device"])}


@contextmanager
def no_host_syncs() -> Iterator[None]:
    """Within the block, what makes the host wait for a device raises `HostSync`."""
    with _Operations(), _Functions():
        yield


SYNCS: Final[Mapping[str, Callable[[Tensor], object]]] = {
    "a number": lambda x: float(x.sum()),
    "an item": lambda x: x.sum().item(),
    "a condition": lambda x: bool((x > 0).any()),
    "a comparison": lambda x: torch.equal(x, x),
    "an array": lambda x: x.numpy(),
    "a list": lambda x: x.tolist(),
    "what is not zero": lambda x: x.nonzero(),
    "a mask": lambda x: x[x > 0],
    "a copy to the host": lambda x: x.cpu() if x.device.type != "cpu" else x.to("meta"),
    "a fresh tensor": lambda x: torch.tensor([1.0], device=x.device),
    "a fresh tensor that is copied": lambda x: torch.ones(2).to("meta"),
}
"""Examples of host syncs: each is given a tensor."""

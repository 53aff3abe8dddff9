"""Launches kernels as on a Hopper without a device: all are compiled for their arguments, and nothing runs.

    python tests/moc_engine/ops/triton/launching.py

Triton compiles a kernel anew for what it sees in arguments, such as a number that is 1, which `compiling`
cannot know. Prints a JSON line for each kernel launched, and how often. It needs a Triton that is not
interpreting. Outputs are what stood in memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget

from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.attending import triton_backend
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.launches import HOPPER
from moc_engine.ops.triton.means import mean_keys
from moc_engine.ops.triton.top_k import best_chunks

MOST_PROGRAMS = (2**31 - 1, 65_535, 65_535)
"""The largest grid that CUDA launches."""

ROWS = MOST_PROGRAMS[1] + 2

HOPPER_LIMITS = {"max_shared_mem": 232_448}


class DryDriver:
    """Stands in for Triton's driver of a Hopper: counts launches."""

    def __init__(self) -> None:
        self.launched: Counter[str] = Counter()
        self.utils = SimpleNamespace(
            get_device_properties=lambda device: HOPPER_LIMITS,
            load_binary=lambda name, code, shared, device: (object(), 0, 0, 0, 1024),
        )

    def is_active(self) -> bool:
        return True

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def launcher_cls(self, source: Any, metadata: Any) -> Callable[..., None]:
        def launch(*arguments: Any) -> None:
            grid = arguments[:3]
            assert all(0 < n <= most for n, most in zip(grid, MOST_PROGRAMS, strict=True)), grid
            self.launched[metadata.name] += 1

        return launch


def attended(
    *,
    B: int = 1,
    H: int = 2,
    L: int = 70,
    K: int = 3,
    D: int = 32,
    lengths: Sequence[int] = (40, 1, 29, 30),
    histories: int = 1,
    rotary: bool = False,
    gradients: bool = True,
    options: Options | None = None,
) -> None:
    offsets = np.cumsum((0, *lengths))
    T = int(offsets[-1])

    def noise(batch: int, tokens: int, *, wanted: bool = gradients) -> Tensor:
        return torch.randn(batch, H, tokens, D, dtype=torch.bfloat16, requires_grad=wanted)

    q, own_k, own_v = (noise(B, L) for _ in range(3))
    k, v = noise(histories, T, wanted=gradients and not rotary), noise(histories, T)
    angles = Rotary(cos=torch.ones(T, D // 2), sin=torch.zeros(T, D // 2)) if rotary else None
    over_history = triton_backend(options or Options()).over_history
    assert over_history is not None
    indices = torch.zeros(B, H, L, K, dtype=torch.int64)
    out, _ = over_history(
        q, own_k, own_v, k, v, offsets, indices, pinned=range(1, len(lengths)), rotary=angles
    )
    if gradients:
        wanted = [x for x in (q, own_k, own_v, k, v) if x.requires_grad]
        found = torch.autograd.grad(out, wanted, torch.ones_like(out))
        assert [x.shape for x in found] == [x.shape for x in wanted]


def chosen(*, B: int = 2, H: int = 2, L: int = 70, C: int = 17, K: int = 5) -> None:
    q, k = torch.randn(B, H, L, 32, dtype=torch.bfloat16), torch.randn(H, C * 8, 32, dtype=torch.bfloat16)
    means = mean_keys(k, torch.arange(0, C * 8 + 1, 8, dtype=torch.int32))[None]
    best_chunks(q, means, torch.ones(1, 1, C, dtype=torch.bool), K)
    rules = torch.ones(B, 3, C, dtype=torch.bool)
    best_chunks(q, means, rules, K, boosts_BRC=rules.float(), rule_L=torch.zeros(L, dtype=torch.int64))


def main() -> None:
    driver = DryDriver()
    triton.runtime.driver.set_active(driver)
    of_hopper = {
        "get_device_capability": lambda device=None: HOPPER,
        "get_device_properties": lambda device=None: SimpleNamespace(multi_processor_count=132),
    }
    vars(torch.cuda).update(of_hopper)
    attended()
    attended(H=1, L=1, K=1)
    attended(B=4, histories=2, options=Options(partials="in place"))
    attended(rotary=True, options=Options(rotated_bytes=1 << 12))
    attended(rotary=True, gradients=False, options=Options(rotation="loaded"))
    attended(options=Options(always_streamed=True))
    attended(K=0)
    for options in (Options(), Options(partials="in place")):  # more rows than the grid's axis y holds
        stored = options.partials != "in place"
        attended(H=ROWS, L=1, K=1, D=16, lengths=(1, 1), rotary=not stored, gradients=stored, options=options)
    chosen()
    chosen(B=1, H=1, L=1, C=1, K=1)
    chosen(B=1, H=ROWS, L=1, C=1, K=1)
    for name, times in driver.launched.items():
        print(json.dumps({"name": name, "launches": times}))


if __name__ == "__main__":
    main()

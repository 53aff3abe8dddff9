"""The table of launches."""

from __future__ import annotations

import pytest
import torch

from moc_engine.ops.triton.launches import (
    HOPPER,
    INTERPRETED,
    INTERPRETER,
    TABLE,
    Tile,
    capability_of,
    launch,
    padded_head,
)
from tests.fakes.kernels import DEVICE, kernel_tests

pytestmark = kernel_tests

AMPERE, CONSUMER_BLACKWELL = (8, 9), (12, 0)


@pytest.mark.parametrize("kernel", TABLE)
@pytest.mark.parametrize("capability", [INTERPRETER, (7, 5), AMPERE, HOPPER, (10, 0), CONSUMER_BLACKWELL])
def test_every_kernel_has_a_tile_for_every_head(kernel: str, capability: tuple[int, int]) -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        for head in (8, 32, 64, 96, 128, 256):
            tile = launch(kernel, head, dtype, capability)
            assert tile.piece is None or tile.piece >= 16
            assert not (tile.tma and capability < HOPPER)
    with pytest.raises(ValueError, match=r"^q: heads of at most 256 .* got 264"):
        launch(kernel, 264, torch.float32, capability)


def test_the_first_row_that_fits_is_taken() -> None:
    half = launch("routed", 128, torch.bfloat16, HOPPER)
    assert half.tma
    assert launch("routed", 128, torch.bfloat16, (10, 0)) == half
    assert launch("routed", 128, torch.bfloat16, AMPERE) != half
    assert launch("routed", 128, torch.bfloat16, CONSUMER_BLACKWELL) == launch(
        "routed", 128, torch.bfloat16, AMPERE
    )
    assert launch("routed", 128, torch.float32, HOPPER) != half


def test_blocks_are_powers_of_two() -> None:
    assert [padded_head(head) for head in (1, 16, 17, 64, 96, 256)] == [16, 16, 32, 64, 128, 256]


def test_the_interpreter_has_no_capability_and_takes_no_options() -> None:
    options = Tile(rows=16, keys=16, warps=8, stages=3, registers=128).options
    if DEVICE.type == "cpu":
        assert INTERPRETED
        assert capability_of(DEVICE) == INTERPRETER
        assert options == {}
    else:
        assert options == {"num_warps": 8, "num_stages": 3, "maxnreg": 128}

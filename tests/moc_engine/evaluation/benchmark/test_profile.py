import re
from pathlib import Path

import pytest

from moc_engine.evaluation.benchmark.profile import KERNEL_PARTS, kernel_parts

KERNELS = Path(__file__).parents[4] / "moc_engine/ops/triton"


def test_kernels_are_added_up_by_part() -> None:
    found = kernel_parts(
        {
            "routed_kernel": 2.0,
            "merge_slots_kernel": 1.0,
            "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16": 5.0,
            "nvjet_sm90_tst_128x256": 4.0,
            "void at::native::vectorized_layer_norm_kernel<float>": 0.5,
            "void at::native::elementwise_kernel<128, 4>": 0.25,
        }
    )
    assert found == {
        "routed chunks": 3.0,
        "own shot and captions": 5.0,
        "linear layers": 4.0,
        "norms": 0.5,
        "rest": 0.25,
    }


@pytest.mark.parametrize(
    "file", ["segments.py", "merging.py", "packing.py", "top_k.py", "means.py", "rotating.py"]
)
def test_kernels_of_the_forward_pass_have_a_part(file: str) -> None:
    launched = re.findall(r"^\s+(\w+)\[.*\]\(", (KERNELS / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert launched
    assert set(kernel_parts(dict.fromkeys(launched, 1.0))) <= set(KERNEL_PARTS), launched

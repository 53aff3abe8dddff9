"""The ways of the backend `triton` that the benchmark compares, on the device or in the interpreter."""

from __future__ import annotations

from pathlib import Path

import torch

from moc_engine.evaluation.benchmark.attention import measure_case
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.contestant import Contestant
from moc_engine.evaluation.benchmark.ours import triton_variants
from moc_engine.evaluation.benchmark.program import Program
from moc_engine.evaluation.benchmark.results import load
from tests.fakes.kernels import DEVICE, kernel_tests, needs_cuda

pytestmark = kernel_tests

CASE = Case(
    name="x",
    part="forward",
    shots=3,
    chunks=2,
    chunk=8,
    heads=1,
    width=16,
    top_k=2,
    dtype="float32",
    variants=True,
)


def test_every_way_of_the_triton_backend_is_right() -> None:
    found = list(triton_variants(DEVICE, CASE))

    def contestants(device: torch.device, case: Case) -> list[Contestant]:
        return found

    entries = measure_case(CASE, DEVICE, contestants, seconds=0.0, rounds=1, say=print)["entries"]
    assert {entry.name.removeprefix("triton, ") for entry in entries} - {"CUDA graph"} == {
        "partial outputs stored",
        "merged in place",
        "keys rotated into a buffer",
        "keys rotated as they are loaded",
        "history in main memory",
    }
    for entry in entries:
        assert (entry.wrong, entry.failed, entry.skipped) == (None, None, None), entry.name
        assert entry.milliseconds is not None


@needs_cuda
def test_the_program_on_the_device(tmp_path: Path) -> None:
    program = Program(device=DEVICE, out=tmp_path, tiny=True, only=("175k", "175k gradients"))
    assert program.run() == 0
    assert load(program.file)["machine"]["gpu"]

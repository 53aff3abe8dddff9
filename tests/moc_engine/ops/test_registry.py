from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from moc_engine.config import RoutingChoice, RoutingConfig
from moc_engine.ops.backend import AttentionBackend, Need, Work
from moc_engine.ops.grouped import grouped_attention
from moc_engine.ops.registry import BUILT_IN, choose_backend, find_backend

SMALL = Work(rows=2, tokens=8, top_k=2, head_size=32, history_offsets=np.array([0, 4, 8]))
LARGE = Work(rows=64, tokens=4096, top_k=5, head_size=64, history_offsets=np.arange(0, 4096, 256))


def rendering(work: Work, device: str = "cpu") -> Need:
    return Need(form="history", device=device, history_device="cpu", mass=True, work=work)


def chosen(need: Need) -> str:
    return choose_backend("auto", need).backend.name


def test_auto_takes_what_is_fast_for_the_work() -> None:
    assert chosen(rendering(SMALL)) == "gathered"
    assert chosen(rendering(LARGE)) == "grouped"
    assert chosen(Need(form="history", device="cpu", mass=True)) == "grouped"
    assert chosen(Need(form="layout", device="cpu")) == "grouped"
    assert choose_backend("auto", rendering(LARGE)).why.startswith("measured: cpu: ")
    assert choose_backend("grouped", rendering(LARGE)).why == "asked for"


def test_what_is_asked_for_by_name_is_taken() -> None:
    for name in BUILT_IN:
        need = replace(rendering(SMALL), mass=BUILT_IN[name].mass)
        assert choose_backend(name, need).backend is BUILT_IN[name]


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (Need(form="layout", device="cpu"), "all keys of a story in one layout"),
        (rendering(SMALL, device="cuda"), "a history on cpu with queries on cuda"),
        (Need(form="history", device="cpu"), "a shot without a history"),
        (Need(form="history", device="cpu", history_device="cpu", query_shots=2), "queries of several shots"),
        (Need(form="history", device="cpu", history_device="cpu", dtype=torch.int8), "the dtype torch.int8"),
    ],
)
def test_a_backend_never_falls_back_but_says_what_it_lacks(need: Need, words: str) -> None:
    with pytest.raises(ValueError, match=f"^backend: 'gathered' does not support {words}.*; use 'auto'$"):
        choose_backend("gathered", need)


def test_gradients_mass_and_devices_are_asked_for() -> None:
    poor = AttentionBackend(
        name="poor",
        over_history=grouped_attention,
        devices=frozenset({"cuda"}),
        mass=False,
        gradients=False,
    )
    need = Need(form="history", device="cuda", history_device="cuda")
    assert poor.missing(need) is None
    assert poor.missing(Need(form="history", device="cpu", history_device="cpu")) == "the device cpu"
    assert poor.missing(Need(form="history", device="cuda", gradients=True)) == "gradients"
    assert poor.missing(Need(form="history", device="cuda", mass=True)) == "the attended mass per chunk"


def test_unknown_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown backend 'magic'; there are auto, naive, grouped"):
        find_backend("magic")
    for kind in (RoutingConfig, RoutingChoice):
        with pytest.raises(ValueError, match="unknown backend 'magic'; there are auto, naive, grouped"):
            kind(backend="magic")


PLUGIN = """
from dataclasses import replace
from moc_engine.ops.grouped import GROUPED

BACKEND = replace(GROUPED, name="swift")
"""

PROGRAM = """
from moc_engine.config import RoutingConfig
from moc_engine.ops.backend import Need
from moc_engine.ops.registry import choose_backend
swift = choose_backend(RoutingConfig(backend="swift").backend, Need(form="layout", device="cpu"))
try:
    choose_backend(RoutingConfig(backend="lame").backend, Need(form="layout", device="cpu"))
except ValueError as error:
    print(swift.backend.name, error)
"""


def test_third_parties_add_backends_by_entry_points(tmp_path: Path) -> None:
    told = tmp_path / "swift-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: swift\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(
        "[moc_studio.backends]\nswift = swift:BACKEND\nlame = swift:replace\n"
    )
    (tmp_path / "swift.py").write_text(PLUGIN)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("swift the plug-in swift:replace for 'lame' is not an AttentionBackend")

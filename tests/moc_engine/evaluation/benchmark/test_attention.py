"""Cases of attention with fake contestants: what is wrong gets no figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from moc_engine.evaluation.benchmark.attention import measure_case, sentence
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.contestant import Contestant, NotPossible, Result, Run
from moc_engine.evaluation.benchmark.contestants import contestants
from moc_engine.evaluation.benchmark.figures import spread
from moc_engine.evaluation.benchmark.ours import ours
from moc_engine.evaluation.benchmark.results import Entry
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.ops.backend import Mass
from moc_engine.ops.grouped import GROUPED, grouped_attention

CPU = torch.device("cpu")
CASE = Case(name="x", part="forward", shots=4, chunks=2, chunk=8, heads=2, width=8, top_k=2, dtype="float32")


def _measured(case: Case, *others: Contestant) -> dict[str, Entry]:
    def all_of_them(device: torch.device, case: Case) -> Iterator[Contestant]:
        yield from contestants(device, case, compiled=False)
        yield from others

    found = measure_case(case, CPU, all_of_them, seconds=0.1, rounds=3, say=lambda line: None)
    return {entry.name: entry for entry in found["entries"]}


def _altered(alter: Callable[[Story, Result], Result]) -> Contestant:
    """The grouped backend with an altered result."""

    def prepare(story: Story) -> Run:
        work = ours(GROUPED).prepare(story)
        return lambda: alter(story, work())

    return Contestant(name="altered", kind="ours", prepare=prepare, chooses=True)


WRONG: dict[str, Callable[[Story, Result], Result]] = {
    "a scale": lambda story, got: replace(got, out=got.out * 1.001),
    "one head": lambda story, got: replace(got, out=got.out.flip(1)),
    "nan": lambda story, got: replace(got, out=got.out * torch.nan),
    "large inputs alone": lambda story, got: replace(
        got, out=got.out.bfloat16().float() if story.q.std() > 10 else got.out
    ),
    "another selection": lambda story, got: replace(got, chosen_HLK=_turned(got.chosen_HLK)),
}


def _turned(chosen: Tensor | None) -> Tensor:
    assert chosen is not None
    return (chosen + 1) % 6


@pytest.mark.parametrize("alter", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_backend_gets_no_figure(alter: Callable[[Story, Result], Result]) -> None:
    entries = _measured(CASE, _altered(alter))
    wrong = entries["altered"]
    assert wrong.wrong is not None
    assert (wrong.milliseconds, wrong.faster, wrong.efficiency, wrong.extra_mebibytes) == (None,) * 4
    assert "WRONG" in sentence(wrong)
    assert entries["grouped"].milliseconds is not None


def test_a_backend_with_wrong_gradients_gets_no_figure() -> None:
    def attend(q: Tensor, *args: Any, **options: Any) -> tuple[Tensor, Mass]:
        out, mass = grouped_attention(q, *args, **options)
        return out + 0.01 * (out - out.detach()), mass  # the right output, gradients a hundredth too large

    name = "steep"
    steep: Any = attend
    wrong = ours(replace(GROUPED, name=name, over_history=steep))
    assert _measured(CASE, wrong)[name].milliseconds is not None
    entry = _measured(replace(CASE, part="backward"), wrong)[name]
    assert entry.wrong is not None
    assert "gradient of q" in entry.wrong
    assert entry.milliseconds is None


def test_who_cannot_take_part_says_why() -> None:
    def prepare(story: Story) -> Run:
        raise NotPossible("needs a package")

    entry = _measured(CASE, Contestant(name="absent", kind="sparse", prepare=prepare))["absent"]
    assert (entry.skipped, entry.milliseconds) == ("needs a package", None)
    assert "needs a package" in sentence(entry)


def test_the_fault_of_one_loses_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    def prepare(story: Story) -> Run:
        raise AssertionError("a fault")

    entries = _measured(CASE, Contestant(name="faulty", kind="ours", prepare=prepare))
    assert (entries["faulty"].failed, entries["faulty"].milliseconds) == ("AssertionError: a fault", None)
    assert entries["grouped"].milliseconds is not None
    assert "a fault" in capsys.readouterr().err
    assert "FAILED" in sentence(entries["faulty"])


def test_every_contestant_is_right_and_its_figures_belong_together() -> None:
    entries = _measured(replace(CASE, peers=True))
    assert {entry.kind for entry in entries.values()} == {
        "auto",
        "dense",
        "ours",
        "static",
        "token-causal",
    }
    for entry in entries.values():
        assert (entry.wrong, entry.skipped) == (None, None)
        assert entry.milliseconds is not None
        assert entry.faster is not None
        assert entry.pairs_ratio is not None
        assert entry.efficiency == pytest.approx(entry.faster.median / entry.pairs_ratio)
        assert entry.extra_mebibytes is not None
        assert entry.extra_mebibytes > 0
    dense, moc = 2 * 16 * 64, 2 * 16 * (16 + 2 * 8)
    assert entries["SDPA"].attended_pairs == dense
    assert entries["SDPA"].faster == replace(entries["SDPA"].faster or _no(), median=1.0, low=1.0, high=1.0)
    for name in ("grouped", "sliding window (grouped)", "radial (grouped)"):
        assert (entries[name].attended_pairs, entries[name].pairs_ratio) == (moc, dense / moc)
    for name in ("auto", "auto in a render"):
        assert (entries[name].note or "").startswith("full attention")
        assert entries[name].attended_pairs == dense
    assert entries["token-causal (grouped)"].attended_pairs == 2 * 16 * (8 + 2 * 8)


def _no() -> Any:
    raise AssertionError("there is no figure")


def test_a_line_shows_quartiles_and_says_where_rounds_differ() -> None:
    entry = Entry(
        name="masked",
        kind="ours",
        errors={"1": 1e-6},
        pairs_ratio=1.0,
        efficiency=0.5,
        milliseconds=spread([1.0, 1.0, 1.0]),
        faster=spread([0.5, 0.5, 0.5]),
    )
    steady = sentence(entry)
    assert "1.00 (1.00–1.00) ms" in steady
    assert "0.50 (0.50–0.50) times as fast as dense with the same number of pairs" in steady
    assert "UNSTEADY" not in steady
    assert sentence(replace(entry, milliseconds=spread([1.0, 9.0, 9.0]))).endswith("UNSTEADY")


def test_growing_stories_are_compared_with_the_shortest() -> None:
    entry = _measured(replace(CASE, part="growth"))["grouped"]
    assert entry.growth is not None
    assert entry.growth.median > 0


def test_gradients_are_timed_after_their_check() -> None:
    entries = _measured(replace(CASE, part="backward"))
    for name in ("SDPA", "grouped", "gathered"):
        assert entries[name].milliseconds is not None
        assert {"gradient of q 0.3", "gradient of v 3.0"} <= set(entries[name].errors)

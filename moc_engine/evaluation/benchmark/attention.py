"""One case of attention: every contestant is checked first, then those that are right are timed."""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from moc_engine.evaluation.benchmark import check
from moc_engine.evaluation.benchmark.cases import Case, growth_base
from moc_engine.evaluation.benchmark.contestant import Contestant, NotPossible, Result, Run
from moc_engine.evaluation.benchmark.figures import (
    Pairs,
    count_pairs,
    efficiency,
    pairs_in_words,
    ratios,
    spread,
)
from moc_engine.evaluation.benchmark.ours import CAPTURED
from moc_engine.evaluation.benchmark.results import Entry
from moc_engine.evaluation.benchmark.story import Story, build_story
from moc_engine.evaluation.benchmark.timing import ROUNDS, clock_of, extra_mebibytes, side_by_side

Contestants = Callable[[torch.device, Case], Iterable[Contestant]]

LARGEST_CHOICE_ERROR = 0.02
"""How much worse a chosen chunk may score, in standard deviations: means and scores are rounded."""

_BASE = "the shortest story: "


class _Wrong(Exception):
    """What a contestant computed wrongly."""


def measure_case(
    case: Case,
    device: torch.device,
    contestants: Contestants,
    *,
    seconds: float = 20.0,
    rounds: int = ROUNDS,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The results of a case: its shapes, and an `Entry` for each contestant."""
    story = build_story(case, device)
    started = time.monotonic()
    found: dict[str, tuple[Contestant, Entry, Pairs]] = {}
    works: dict[str, Callable[[], object]] = {}
    for contestant in contestants(device, case):
        entry = Entry(name=contestant.name, kind=contestant.kind)
        pairs = Pairs(dense=1, attended=1)
        try:
            pairs = _check(contestant, story, entry)
            works[contestant.name] = timed_work(contestant, story)
            if case.part == "growth" and contestant.kind in ("ours", "auto"):
                base = build_story(growth_base(case), device)
                works[_BASE + contestant.name] = contestant.prepare(base)
        except NotPossible as reason:
            entry.skipped = str(reason)
        except _Wrong as reason:
            entry.wrong = str(reason)
        except torch.OutOfMemoryError as error:
            entry.skipped = f"out of memory: {str(error).splitlines()[0]}"
        except Exception as error:  # a fault of one must not lose the others
            traceback.print_exc()
            entry.failed = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        entry.attended_pairs, entry.pairs_ratio = pairs.attended, pairs.ratio
        found[contestant.name] = contestant, entry, pairs
    gc.collect()
    times = side_by_side(works, device, seconds=seconds, rounds=rounds)
    _compare([(entry, pairs) for _, entry, pairs in found.values()], times)
    for name in works:
        if name in found and CAPTURED not in name:  # a graph keeps its memory to itself
            found[name][1].extra_mebibytes = extra_mebibytes(works[name], device)
    entries = [entry for _, entry, _ in found.values()]
    for entry in entries:
        say(sentence(entry))
    return {
        "part": case.part,
        "shape": {**asdict(case), "queries": case.queries, "context": case.context},
        "dense_pairs": case.heads * case.queries * case.context,
        "clock": clock_of(device),
        "seconds": time.monotonic() - started,
        "entries": entries,
    }


def sentence(entry: Entry) -> str:
    """A contestant's figures in a line."""
    name = f"{entry.name} ({entry.note})" if entry.note else entry.name
    if entry.milliseconds is None:
        reasons = {"WRONG": entry.wrong, "FAILED": entry.failed, "skipped": entry.skipped}
        why = "; ".join(f"{word}: {reason}" for word, reason in reasons.items() if reason)
        return f"  {name:<40} {why}"
    error = max(entry.errors.values())
    words = f"  {name:<40} {entry.milliseconds!s:>25} ms, error ≤ {error:.0e}"
    shown = [entry.milliseconds]
    if entry.faster is not None and entry.kind != "dense":
        shown.append(entry.faster)
        words += f", {entry.faster} times as fast as dense with "
        words += f"{pairs_in_words(entry.pairs_ratio or 1.0)}: efficiency {entry.efficiency:.2f}"
    if entry.growth is not None:
        shown.append(entry.growth)
        words += f", {entry.growth} times as long as the shortest story"
    return words if all(one.steady for one in shown) else f"{words}; UNSTEADY"


def _compare(entries: list[tuple[Entry, Pairs]], times: Mapping[str, list[float]]) -> None:
    """Fills in times and ratios; the denominator is the fastest dense attention of the same run."""
    for entry, _ in entries:
        if entry.name in times:
            entry.milliseconds = spread(times[entry.name])
    dense = [e for e, _ in entries if e.kind == "dense" and e.milliseconds is not None]
    fastest = min(dense, key=lambda e: e.milliseconds.median if e.milliseconds else 0.0, default=None)
    for entry, pairs in entries:
        if entry.milliseconds is None:
            continue
        if fastest is not None:
            entry.faster = ratios(times[fastest.name], times[entry.name])
            entry.efficiency = efficiency(entry.faster.median, pairs)
        if _BASE + entry.name in times:
            entry.growth = ratios(times[entry.name], times[_BASE + entry.name])


def timed_work(contestant: Contestant, story: Story) -> Callable[[], object]:
    """What is timed: the forward pass, or in a case of gradients both passes."""
    if story.case.part == "backward":
        leaves, work = _with_gradients(contestant, story)
        return partial(_gradients, work, leaves, story.grad)
    work = contestant.prepare(story)

    def forward() -> Result:
        with torch.no_grad():
            return work()

    return forward


def _check(contestant: Contestant, story: Story, entry: Entry) -> Pairs:
    """Compares the contestant with the reference at several scales; its pairs. Raises `_Wrong`."""
    pairs = Pairs(dense=1, attended=1)
    sample = check.sampled_queries(story.case.queries)
    for scale in contestant.scales:
        scaled = story if scale == 1.0 else story.scaled(scale)
        with torch.no_grad():
            result = contestant.prepare(scaled)()
            pairs, entry.note = _pairs(result, story), result.note
            if contestant.chooses:
                assert result.chosen_HLK is not None
                entry.errors[f"choice {scale}"] = check.choice_error(scaled, result.chosen_HLK, sample)
                if not entry.errors[f"choice {scale}"] <= LARGEST_CHOICE_ERROR:
                    raise _Wrong(f"does not choose the best chunks at inputs of scale {scale}")
            mask = check.attended_chunks(story, result.chosen_HLK, own_shot=result.own_shot)
            right = check.reference_output(contestant.reference(scaled), mask, sample)
            error = check.relative_error(result.out[0][:, sample.to(right.device)], right)
        _note(entry, f"{scale}", error, check.tolerance(story.q.dtype, story.q.device, scale))
    if story.case.part == "backward":
        if not contestant.gradients:
            raise NotPossible("has no gradients here")
        for scale in check.GRADIENT_SCALES:
            _check_gradients(contestant, story if scale == 1.0 else story.scaled(scale), scale, entry)
    return pairs


def _check_gradients(contestant: Contestant, story: Story, scale: float, entry: Entry) -> None:
    leaves, work = _with_gradients(contestant, story)
    result = work()
    grads = torch.autograd.grad(result.out, leaves, story.grad)
    found = grads if contestant.joined else _joined(*grads)
    heads = min(check.GRADIENT_HEADS, story.case.heads)
    mask = check.attended_chunks(story, result.chosen_HLK, own_shot=result.own_shot)
    right = check.reference_gradients(story, mask, heads)
    allowed = check.tolerance(story.q.dtype, story.q.device, scale, gradients=True)
    for name, one, other in zip("qkv", found, right, strict=True):
        _note(entry, f"gradient of {name} {scale}", check.relative_error(one[0, :heads], other), allowed)


def _joined(
    dq: Tensor, own_dk: Tensor, own_dv: Tensor, past_dk: Tensor, past_dv: Tensor
) -> tuple[Tensor, ...]:
    return dq, torch.cat((past_dk, own_dk), dim=2), torch.cat((past_dv, own_dv), dim=2)


def _note(entry: Entry, what: str, error: float, allowed: float) -> None:
    entry.errors[what] = error
    if not error <= allowed:
        raise _Wrong(f"relative error {error:.1e} at {what}, where {allowed:.0e} is allowed")


def _with_gradients(contestant: Contestant, story: Story) -> tuple[list[Tensor], Run]:
    """The leaves that get gradients, and the contestant's work on them."""
    names = ("q", "own_k", "own_v", "history_k", "history_v")
    if contestant.joined:
        q, k, v = (x.detach().clone().requires_grad_() for x in (story.q, story.k, story.v))
        return [q, k, v], contestant.prepare(replace(story, q=q).with_joined(k, v))
    leaves = {name: getattr(story, name).detach().clone().requires_grad_() for name in names}
    return list(leaves.values()), contestant.prepare(replace(story, **leaves))


def _gradients(work: Run, leaves: list[Tensor], grad: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(work().out, leaves, grad)


def _pairs(result: Result, story: Story) -> Pairs:
    case = story.case
    if result.chosen_HLK is None:
        dense = case.heads * case.queries * case.context
        return Pairs(dense=dense, attended=dense)
    always = case.queries if result.own_shot else 0
    return count_pairs(result.chosen_HLK, story.layout.offsets, keys=case.context, always=always)

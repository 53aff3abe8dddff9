"""The results of the benchmark in words: sections of RESULTS.md, lines of the README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moc_engine.evaluation.benchmark.figures import crossover, pairs_in_words
from moc_engine.evaluation.benchmark.ours import CAPTURED

Document = Mapping[str, Any]
Case = Mapping[str, Any]
Entry = Mapping[str, Any]

GPU_PROTOTYPE: Final = (
    "On a GPU the kernels of this version have not been measured. Prototype figures, from the prototype "
    "kernels on one H200 (bf16, 12 heads × 128): 4.6 times as fast as cuDNN's dense attention at 174,720 "
    "tokens with 5.9 times fewer pairs, 4.5 times with gradients"
)


def auto_of(case: Case) -> Entry | None:
    """What the settings "auto" do in a case."""
    return next((e for e in case.get("entries", ()) if e["kind"] == "auto" and "faster" in e), None)


def best_of_ours(case: Case, *, captured: bool = False) -> Entry | None:
    """The fastest of our backends that were right in a case, replayed from a CUDA graph or not."""
    found = [
        entry
        for entry in case.get("entries", ())
        if entry["kind"] == "ours" and "faster" in entry and (CAPTURED in entry["name"]) == captured
    ]
    return min(found, key=lambda entry: float(entry["milliseconds"]["median"]), default=None)


def fastest_dense(case: Case) -> Entry | None:
    """The fastest dense attention of a case, which ours is compared with."""
    found = [e for e in case.get("entries", ()) if e["kind"] == "dense" and "milliseconds" in e]
    return min(found, key=lambda entry: float(entry["milliseconds"]["median"]), default=None)


def cases_of(document: Document, part: str) -> dict[str, Case]:
    """The measured cases of a part, the shortest first."""
    found = {n: c for n, c in document["cases"].items() if c["part"] == part and "skipped" not in c}
    return dict(sorted(found.items(), key=lambda item: item[1].get("shape", {}).get("context", 0)))


def speedups(
    document: Document, *, captured: bool = False, part: str = "growth"
) -> list[tuple[int, float, float]]:
    """Tokens, speed-up over dense attention, ratio of pairs: of growing stories, or of all forward cases."""
    cases = cases_of(document, part)
    chosen = _longest_family(cases)
    if part == "forward":
        chosen = [c for c in cases.values() if c["shape"]["alike"] and not c["shape"]["peers"]]
    found = [(case["shape"]["context"], best_of_ours(case, captured=captured)) for case in chosen]
    return [(tokens, e["faster"]["median"], e["pairs_ratio"]) for tokens, e in found if e is not None]


def _longest_family(cases: Mapping[str, Case]) -> list[Case]:
    """The cases of growth whose stories have the same shots, those of the longest story."""
    shots = [case["shape"]["queries"] for case in cases.values()]
    return [case for case in cases.values() if case["shape"]["queries"] == (shots[-1] if shots else 0)]


def section(document: Document) -> str:
    """A machine's results as Markdown."""
    lines = [f"### {machine_name(document)}", "", *_environment(document), ""]
    lines += [f"**{document['tiny']}**", ""] if "tiny" in document else []
    attention = {**cases_of(document, "forward"), **cases_of(document, "backward")}
    if attention:
        lines += _attention_table(attention)
    peers = {name: case for name, case in attention.items() if case["shape"]["peers"]}
    for case in peers.values():
        lines += _peers_table(case)
    lines += _growth(document)
    for case in cases_of(document, "late").values():
        lines += _late_table(case)
    for case in cases_of(document, "film").values():
        lines += _film_table(case)
    skipped = [f"{name}: {case['skipped']}" for name, case in document["cases"].items() if "skipped" in case]
    lines += [f"Not measured: {'; '.join(skipped)}.", ""] if skipped else []
    return "\n".join(lines)


def machine_name(document: Document) -> str:
    machine = document["machine"]
    threads = "one thread" if machine["threads"] == 1 else f"{machine['threads']} threads"
    return str(machine.get("gpu") or f"{machine['processor']}, {threads}")


def _environment(document: Document) -> list[str]:
    machine, versions = document["machine"], document["versions"]
    dates = sorted({case["date"][:10] for case in document["cases"].values()})
    words = [f"{machine['cores']} cores", f"{machine['memory_gibibytes']} GiB", f"torch {versions['torch']}"]
    words += [f"triton {versions['triton']}"] * ("gpu" in machine) + [f"Python {versions['python']}"]
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return [f"{', '.join(words)}; {when}."]


def _attention_table(cases: Mapping[str, Case]) -> list[str]:
    lines = [
        "| attention | tokens | fewer pairs | dense, ms | ours, ms | times as fast | efficiency | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, case in cases.items():
        for captured in (False, True):
            mine, dense = best_of_ours(case, captured=captured), fastest_dense(case)
            if mine is not None and dense is not None:
                lines.append(_attention_row(name, case, mine, dense))
    return [*lines, ""]


def _attention_row(name: str, case: Case, mine: Entry, dense: Entry) -> str:
    shape = case["shape"]
    what = "forward and backward" if case["part"] == "backward" else "forward"
    queries = "" if shape["alike"] else ", random queries"
    memory = ""
    if mine.get("extra_mebibytes") is not None and dense.get("extra_mebibytes"):
        memory = f"{mine['extra_mebibytes'] / dense['extra_mebibytes']:.2f} × dense"
    cells = (
        f"{what}, {shape['heads']} heads × {shape['width']}, k {shape['top_k']}{queries}",
        f"{shape['context']:,}",
        f"{mine['pairs_ratio']:.2f} ×",
        f"{_ms(dense)} ({dense['name']})",
        f"{_ms(mine)} ({mine['name']})",
        _with_spread(mine["faster"]),
        f"{mine['efficiency']:.2f}",
        memory,
    )
    return f"| {' | '.join(cells)} |"


def _peers_table(case: Case) -> list[str]:
    lines = [
        f"Everything that was compared at {case['shape']['context']:,} tokens:",
        "",
        "| | ms | times as fast as dense | fewer pairs | efficiency |",
        "|---|---|---|---|---|",
    ]
    for entry in case["entries"]:
        if "milliseconds" not in entry:
            reason = next(entry[name] for name in ("wrong", "failed", "skipped") if name in entry)
            lines.append(f"| {entry['name']} | {reason} | | | |")
            continue
        figures = (_ms(entry), _with_spread(entry["faster"]), f"{entry['pairs_ratio']:.2f} ×")
        lines.append(f"| {entry['name']} | {' | '.join(figures)} | {entry['efficiency']:.2f} |")
    return [*lines, ""]


def _growth(document: Document) -> list[str]:
    lines = []
    for captured in (False, True):
        points = speedups(document, captured=captured)
        if not points:
            continue
        shortest = crossover([(tokens, faster) for tokens, faster, _ in points])
        steps = ", ".join(f"{tokens:,}: {faster:.2f} ({pairs:.1f})" for tokens, faster, pairs in points)
        begins = "never" if shortest is None else f"from {shortest:,} tokens"
        how = " replayed from a CUDA graph" if captured else ""
        lines += [
            f"Growing stories{how}: faster than dense {begins}. "
            f"Tokens, times as fast and, in brackets, times fewer pairs: {steps}.",
            "",
        ]
    automatic = [
        (case["shape"]["context"], auto_of(case)) for case in _longest_family(cases_of(document, "growth"))
    ]
    found = [(tokens, entry) for tokens, entry in automatic if entry is not None]
    if found:
        steps = ", ".join(f"{n:,}: {e['faster']['median']:.2f} ({e['note']})" for n, e in found)
        lines += [
            f"What the settings auto do with them, and how many times as fast as dense it is: {steps}.",
            "",
        ]
    longest = [best_of_ours(case) for case in _longest_family(cases_of(document, "growth"))]
    growth = [entry["growth"] for entry in longest if entry is not None and "growth" in entry]
    if growth:
        times = f"{_with_spread(growth[-1])} times as long"
        lines += [
            f"The longest takes {times} as the shortest in which a query has k chunks to choose from.",
            "",
        ]
    return lines


def _late_table(case: Case) -> list[str]:
    lines = [f"| denoising shot | times as long as shot {case['early']} | CPU seconds |", "|---|---|---|"]
    for point in case["points"]:
        seconds = point["milliseconds"]["median"] / 1e3
        lines.append(f"| {point['shot']} | {_with_spread(point['longer'])} | {seconds:.2f} |")
    return [*lines, ""]


def _film_table(case: Case) -> list[str]:
    size = case["size"]
    lines = [
        f"One pass of a random transformer in the render path ({size['name']}; {size['layers']} layers, "
        f"{size['heads']} heads × {size['width']}, {size['tokens']:,} tokens a shot, k {size['top_k']}):",
        "",
        "| shot | dense over all, ms | MoC, ms | times as fast | fewer pairs | where MoC's time goes |",
        "|---|---|---|---|---|---|",
    ]
    for point in case["points"]:
        if "wrong" in point:
            lines.append(f"| {point['shot']} | {point['wrong']} | | | | |")
            continue
        cells = (
            str(point["shot"]),
            _number(point["dense_milliseconds"]["median"]),
            f"{_number(point['milliseconds']['median'])} ({point['backend']})",
            _with_spread(point["faster"]),
            f"{point['pairs_ratio']:.2f} ×",
            _parts(point["profile"]),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _parts(profile: Mapping[str, Any]) -> str:
    parts = sorted(profile["parts"].items(), key=lambda item: -item[1])
    shown = [(name, time / profile["whole"]) for name, time in parts]
    return ", ".join(f"{name} {share:.0%}" for name, share in shown if share >= 0.01)


def readme_lines(documents: Sequence[Document]) -> list[str]:
    """Three lines: attention, late shots, and a GPU."""
    cpu = next((document for document in documents if document["machine"]["kind"] == "cpu"), None)
    gpu = next((document for document in documents if "gpu" in document["machine"]), None)
    lines = []
    if cpu is not None:
        lines += [*_attention_line(cpu), *_late_line(cpu)]
    if gpu is None:
        return [*lines, f"- {GPU_PROTOTYPE}."]
    return [*lines, *_attention_line(gpu)]


def _attention_line(document: Document) -> Iterator[str]:
    words = []
    for part, what in (("forward", ""), ("backward", " with gradients")):
        usual = [case for case in cases_of(document, part).values() if case["shape"]["alike"]]
        found = [(best_of_ours(case), case) for case in usual]
        right = [(entry, case) for entry, case in found if entry is not None]
        if right:
            entry, case = right[-1]
            words.append(
                f"{entry['faster']['median']:.1f} times as fast as dense attention at "
                f"{case['shape']['context']:,} tokens with "
                f"{pairs_in_words(entry['pairs_ratio'], digits=1)}{what}"
            )
    if words:
        yield f"- {machine_name(document)}: MoC, routing included, is {', '.join(words)}."


def _late_line(document: Document) -> Iterator[str]:
    for case in cases_of(document, "late").values():
        words = [f"shot {p['shot']} takes {p['longer']['median']:.2f}" for p in case["points"][-2:]]
        yield f"- Denoising late shots of a film: {', '.join(words)} times as long as shot {case['early']}."


def _ms(entry: Entry) -> str:
    return _number(entry["milliseconds"]["median"])


def _number(milliseconds: float) -> str:
    return f"{milliseconds:.3g}" if milliseconds < 1000 else f"{milliseconds:,.0f}"


def _with_spread(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['low']:.2f}–{spread['high']:.2f})"

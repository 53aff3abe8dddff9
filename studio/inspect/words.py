"""What a routing trace says, in words: how much a shot drew from which earlier shot, and for whom."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from moc_engine.trace.record import EMPTY, Portraits, RoutingTrace
from moc_engine.trace.units import Floats
from studio.domain.inputs import TakeInputs
from studio.domain.storyboard import target
from studio.inspect.heads import cache_name, remembers, reused_steps
from studio.inspect.sources import NOBODY, Source, by_source, shot_name, sources_of

PAIRS: Final = 3
"""How many pairs of chunks are named per link."""

LEAST_REST: Final = 0.0005
"""The least that all other pairs of a link must add up to, to be told."""

FAINT: Final = 0.02
FAINT_PART: Final = 0.15
"""Shares not worth a sentence: of the past in all attention, and of one source in the past."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The share of a shot's attention that its part `query` gave to part `source` of an earlier one."""

    query: str
    source: str
    share: float


@dataclass(frozen=True, kw_only=True)
class LinkWithPairs:
    """The share of a shot's attention that went to one take: its strongest pairs and the `rest`.

    `shot` is where that take stands in the film now, None where the film no longer shows it.
    """

    shot: int | None
    take: str | None
    share: float
    pairs: tuple[Pair, ...]
    rest: float


def links_with_pairs(trace: RoutingTrace, indices: Mapping[str, int]) -> tuple[LinkWithPairs, ...]:
    """The links of a trace, the strongest first; `indices` are those of the shots that show each take.

    The trace itself counts shots as they were when it was recorded.
    """
    tokens = np.array([chunk.tokens for chunk in trace.query])
    of_shot = trace.by_query() * (tokens / tokens.sum())[:, None]
    links = []
    for link in trace.links():
        pairs = _pairs(trace, of_shot, link.source)
        rest = max(0.0, link.share - sum(pair.share for pair in pairs))
        shot = indices.get(link.take or "")
        links.append(LinkWithPairs(shot=shot, take=link.take, share=link.share, pairs=pairs, rest=rest))
    return tuple(links)


def in_words(
    trace: RoutingTrace, inputs: TakeInputs, indices: Mapping[str, int], captions: Mapping[str, str]
) -> list[str]:
    """A few lines on one take: a paragraph, then earlier takes with their strongest pairs, then its steering.

    `indices` are those of the shots that show each take; `captions` are those of all takes by id.
    """
    lines = [*textwrap.wrap(paragraph(trace, indices), width=100), *backend_in_words(trace)]
    for link in links_with_pairs(trace, indices):
        caption = captions.get(link.take or "")
        told = f": {caption}" if caption else ""
        lines.append(f"{_percent(link.share)} went to {shot_name(link.shot)}{told}")
        lines += [
            f"      {pair.query} ← {pair.source} ({_percent(pair.share).strip()})" for pair in link.pairs
        ]
        if link.pairs and link.rest >= LEAST_REST:
            lines.append(f"      all other parts together ({_percent(link.rest).strip()})")
    lines += _steered("pinned", inputs.pins, indices)
    lines += _steered("banned", inputs.bans, indices)
    return lines + _steered("boosted", tuple(inputs.boosts), indices)


def paragraph(trace: RoutingTrace, indices: Mapping[str, int]) -> str:
    """What a shot remembered, in one paragraph; `indices` are those of the shots that show each take."""
    said = (
        *_remembered(trace, indices),
        *_full(trace),
        *_chosen_by(trace),
        *_skipped(trace),
        *_retried(trace),
        *_idle(trace, indices),
        *_memory(trace),
    )
    return " ".join(said)


def backend_in_words(trace: RoutingTrace) -> tuple[str, ...]:
    """A line on the backend that computed the attention, and why it; none of traces that do not say why."""
    why = str(trace.routing.get("backend_choice", "")).partition(";")[0].partition(":")[0]
    reasons = {
        "asked for": "as asked for",
        "measured": "the fastest measured for about this size",
        "rule": "the default on this device",
    }
    return (f"Computed by the backend {trace.backend}, {reasons[why]}.",) if why in reasons else ()


def remembered_in_words(policy: str, keyframes: int) -> str:
    """What a memory policy remembers."""
    return _REMEMBERED.get(policy, f"what the policy {policy} keeps").format(keyframes=keyframes)


_REMEMBERED: Final = {
    "all": "everything",
    "first-last": "the first and last frame of each shot",
    "spread": "{keyframes} latent frames of each shot, evenly spread",
    "change": "{keyframes} latent frames of each shot, those that change most",
    "cast": "what shows the cast",
}
"""What memory policies remember of earlier shots."""


def _memory(trace: RoutingTrace) -> Iterator[str]:
    """Sentences on what was remembered, where that was not all, or in 8 bits; and on what each step moved."""
    memory = trace.routing.get("memory", {})
    if memory.get("policy", "all") != "all" and memory.get("context_tokens"):
        share = memory["remembered_tokens"] / memory["context_tokens"]
        most = {"first-last": 2}.get(memory["policy"], memory.get("keyframes"))
        if share == 1 and memory["policy"] in ("first-last", "spread", "change"):
            yield f"Everything was remembered: no earlier shot has more than {most} latent frames."
        else:
            what = remembered_in_words(memory["policy"], memory.get("keyframes", 0))
            yield f"Remembered was {what}: {share:.0%} of all tokens that came before."
    if memory.get("storage") == "int8":
        yield "Memories were kept in 8 bits."
    copied, read = memory.get("bytes_copied_per_step", 0), memory.get("bytes_read_per_step", 0)
    if copied or read:
        moved = [
            f"{count / 1e9:.1f} GB {how}"
            for count, how in ((copied, "were copied to the device"), (read, "were read from files"))
            if count
        ]
        yield f"In each step {' and '.join(moved)}."


def _remembered(trace: RoutingTrace, indices: Mapping[str, int]) -> Sequence[str]:
    sources = sources_of(trace, indices)
    own = trace.own_share()
    past = sum(trace.shot_shares().values())
    if not remembers(trace):
        return ("It saw no earlier shot: everything in it is its own.",)
    if not past:
        banned = _all_banned(trace)
        why = "All that came before was banned" if banned else "Nothing that came before got any attention"
        return (f"{why}: everything in it is its own.",)
    captions = trace.caption_share()
    told = "" if captions is None else f", {captions:.0%} went to captions"
    within = " and ".join(("the shot", *_within(trace)))
    sentences = [f"{own:.0%} of its attention stayed in {within}{told}, {past:.0%} went to what came before."]
    if trace.portraits is not None:
        sentences += _portrayed(trace, trace.portraits, indices)
    for query, chunk in enumerate(trace.query):
        if not chunk.name.endswith(EMPTY) and trace.grid is None:  # a grid's are frames: too many for words
            sentences += _drawn_from(trace, sources, query)
    return sentences


def _within(trace: RoutingTrace) -> Iterator[str]:
    """What lies among the shot's own tokens in self-attention."""
    if trace.routing.get("caption_backend") == "within self-attention":
        yield "its captions"
    if trace.routing.get("reference_pictures"):
        yield "its reference pictures"


def _full(trace: RoutingTrace) -> Iterator[str]:
    """A sentence on full attention: that nothing was routed, and why."""
    if trace.routing.get("full_attention"):
        tokens, below = trace.routing["tokens"], trace.routing["full_below"]
        auto = trace.routing.get("full_below_asked") == "auto"
        boosts = trace.steering.get("boosts") or trace.steering.get("parts", {}).get("boosts")
        yield (
            f"Nothing was routed: it attended in full to all {tokens:,} tokens that it may use, fewer than "
            f"{below:,}{', below which routing is slower here (auto)' if auto else ''}"
            f"{', and boosts played no part' if boosts else ''}."
        )


def _chosen_by(trace: RoutingTrace) -> Iterator[str]:
    """A sentence on another router than MoC's, where chunks were routed."""
    router = trace.routing.get("router", "moc")
    if router != "moc" and remembers(trace) and not trace.routing.get("full_attention"):
        yield _ROUTERS.get(router, f"What it attended to was chosen by the router {router}.")


_ROUTERS: Final = {
    "window": "It attended to the latest shots, whatever they show (router window).",
    "radial": "It attended to less of older shots, whatever they show (router radial).",
}


def _retried(trace: RoutingTrace) -> Iterator[str]:
    """A sentence on a render that ran out of memory before."""
    note = (trace.routing.get("profile") or {}).get("note")
    if note:
        yield f"Before, the render ran {note}."


def _skipped(trace: RoutingTrace) -> Iterator[str]:
    """A sentence on steps in which layers did not run."""
    skipped = dict(trace.routing.get("skipped") or ())
    if skipped:
        steps, layers = trace.step_groups[-1][1], len(trace.table)
        runs = sum(len(those) for those in skipped.values())
        yield (
            f"{_listed(reused_steps(trace))}: reused ({cache_name(trace)}). In {len(skipped)} of {steps} "
            f"steps {runs / (steps * layers):.0%} of all layers were skipped: shown is what they had "
            "attended to before."
        )


def _listed(steps: Sequence[int]) -> str:
    """ "Step 7", "Steps 2, 4–6": numbers from 0, ascending."""
    spans: list[list[int]] = []
    for step in steps:
        if spans and spans[-1][1] == step - 1:
            spans[-1][1] = step
        else:
            spans.append([step, step])
    told = [str(a + 1) if a == b else f"{a + 1}–{b + 1}" for a, b in spans]
    return f"{'Step' if len(steps) == 1 else 'Steps'} {', '.join(told)}"


def _portrayed(trace: RoutingTrace, portraits: Portraits, indices: Mapping[str, int]) -> Iterator[str]:
    """A sentence on where the tokens that show somebody looked most."""
    for name, shares in zip(portraits.names, portraits.shares, strict=True):
        drew = trace.by_take(shares)
        total, best = sum(drew.values()), max(drew, key=lambda take: drew[take])
        if total >= FAINT:
            who = f"{name[:1].upper()}{name[1:]}"
            yield (
                f"{who} drew most from {shot_name(indices.get(best))}: {drew[best] / total:.0%} of what it "
                "took from earlier shots."
            )


def _idle(trace: RoutingTrace, indices: Mapping[str, int]) -> Iterator[str]:
    """A sentence on each part that was to be pinned, banned or boosted, and that its shot does not show."""
    held = {f"{chunk.shot}/{chunk.name}" for chunk in trace.context if chunk.kind == "history"}
    takes = {str(chunk.shot): chunk.take for chunk in trace.context if chunk.kind == "history"}
    parts = trace.steering.get("parts", {})
    for kind, word in (("pins", "pin"), ("bans", "ban"), ("boosts", "boost")):
        for name in parts.get(kind, ()):
            shot, part = target(name)
            if name not in held and shot in takes:
                where = shot_name(indices.get(takes[shot] or ""))
                why = "that take shows no such part" if trace.grid is None else "this model knows no parts"
                yield f"The {word} of {part} in {where} did nothing: {why}."


def _all_banned(trace: RoutingTrace) -> bool:
    """Whether each part of the past was banned, by itself or with its shot."""
    steering = trace.steering
    parts = set(steering.get("parts", {}).get("bans", ()))
    shots = set(steering.get("bans", ()))
    return all(
        chunk.shot in shots or f"{chunk.shot}/{chunk.name}" in parts or chunk.name.endswith(EMPTY)
        for chunk in trace.context
        if chunk.kind == "history"
    )


def _drawn_from(trace: RoutingTrace, sources: Sequence[Source], query: int) -> list[str]:
    """A sentence on where one part of the shot looked most, and how many heads agree on it."""
    past = [source for source in sources if source.kind == "history"]
    shares = by_source(trace.shares(query=query), past)
    total = float(shares.sum())
    best = int(np.where([source.name == NOBODY for source in past], -1.0, shares).argmax())
    if past[best].name == NOBODY or total < FAINT or shares[best] < FAINT_PART * total:
        return []
    name = trace.query[query].name[:1].upper() + trace.query[query].name[1:]
    by_step = trace.table[:, :, :, query]
    by_head = by_source(np.average(by_step, axis=2, weights=trace.weights), past)  # (N, H, sources)
    looking = by_head.sum(axis=-1) > 0
    agree = (by_head.argmax(axis=-1) == best) & looking
    weights = np.broadcast_to(trace.heads, looking.shape)
    heads = float(weights[agree].sum() / max(1, weights[looking].sum()))
    return [
        f"{name} drew most from {past[best].label}: {shares[best] / total:.0%} of what it took from earlier "
        f"shots, the first choice of {heads:.0%} of the heads."
    ]


def _pairs(trace: RoutingTrace, of_shot: Floats, shot: int) -> tuple[Pair, ...]:
    """The strongest pairs of parts by name; `of_shot` (Q, C) in sum 1 are shares of the shot's attention."""
    columns = [i for i, c in enumerate(trace.context) if c.kind == "history" and c.shot == shot]
    shares: dict[tuple[str, str], float] = {}
    for row, chunk in enumerate(trace.query):
        for column in columns:
            pair = (chunk.name, trace.context[column].name)
            shares[pair] = shares.get(pair, 0.0) + float(of_shot[row, column])
    pairs = [
        Pair(query=q, source=s, share=share)
        for (q, s), share in shares.items()
        if not (q.endswith(EMPTY) or s.endswith(EMPTY))
    ]
    strongest = sorted(pairs, key=lambda pair: -pair.share)[:PAIRS]
    return tuple(pair for pair in strongest if pair.share > 0)


def _steered(word: str, takes: Sequence[str], indices: Mapping[str, int]) -> list[str]:
    if not takes:
        return []
    told = []
    for name in takes:
        take, part = target(name)
        shot = shot_name(indices.get(take))
        told.append(shot if part is None else f"{part} in {shot}")
    return [f"{word}: {', '.join(dict.fromkeys(told))}"]


def _percent(share: float) -> str:
    """.4132 -> " 41%"; what is there but small is not called nothing."""
    return "< 1%" if 0 < share < 0.005 else f"{share:4.0%}"

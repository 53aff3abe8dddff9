"""Every router keeps its budget, its candidates and its causality, and equals its rule written plainly."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from moc_engine.config import ROUTERS, RoutingConfig
from moc_engine.errors import ModelMismatch
from moc_engine.ops.layout import by_length
from moc_engine.ops.routers.adaspa import HIGH_RECALL
from moc_engine.ops.routers.moga import GROUPS
from moc_engine.ops.routers.registry import BUILT_IN, find_router
from moc_engine.ops.routers.router import Choice, LearnedRouter, ModelSizes, Router, RoutingRequest
from moc_engine.ops.routers.vorta import VortaRouter
from moc_engine.ops.selection import mask_of

STORIES, HEADS, WIDTH = 2, 4, 8
SHOTS, CHUNKS, LENGTH = 3, 3, 2
"""Earlier shots, chunks of a shot, tokens of a chunk."""
TOKENS = CHUNKS * LENGTH
TOP_K = 3

SIZES = ModelSizes(layers=2, heads=HEADS, width=HEADS * WIDTH)

Attended = tuple[set[int], set[int]]
"""The tokens of the history, chunk by chunk, and of its own shot that a query attends to."""


def _request(seed: int = 0, *, top_k: int = TOP_K, step: int = 0, shots: int = SHOTS) -> RoutingRequest:
    """Queries of a shot whose stories ban different chunks; tokens stand slot by slot in frames."""
    generator = torch.Generator().manual_seed(seed)
    q, own_k = (torch.randn(STORIES, HEADS, TOKENS, WIDTH, generator=generator) * 2 for _ in range(2))
    k = torch.randn(STORIES, HEADS, shots * TOKENS, WIDTH, generator=generator)
    candidates = torch.ones(STORIES, shots * CHUNKS, dtype=torch.bool)
    candidates[0, 3:6] = candidates[1, 1:2] = False
    v = torch.randn(STORIES, HEADS, TOKENS, WIDTH, generator=generator)
    past_v = torch.randn(STORIES, HEADS, shots * TOKENS, WIDTH, generator=generator)
    return RoutingRequest(
        q_BHLD=q,
        own_k_BHLD=own_k,
        means_BHCD=k.unflatten(2, (-1, LENGTH)).mean(dim=3),
        layout=by_length([TOKENS] * shots, LENGTH),
        shot=shots,
        candidates_BC=candidates,
        own_chunk_L=torch.arange(TOKENS) % CHUNKS,
        routing=RoutingConfig(top_k=top_k),
        rotated=lambda: (q, own_k, k),
        values=lambda: (v, past_v),
        time_BE=torch.randn(STORIES, SIZES.width, generator=generator),
        layer=1,
        step=step,
        steps=10,
    )


def _made(name: str) -> Router:
    generators = [torch.Generator().manual_seed(story) for story in range(STORIES)]
    router = BUILT_IN[name].start(generators, {name: _learned(name)} if name in LEARNED else None)
    router.begin()
    return router


def _learned(name: str) -> LearnedRouter:
    """A router with random parameters; each of VORTA's ways is the likeliest of some head."""
    build = BUILT_IN[name].parameters
    assert build is not None
    router = build(SIZES)
    generator = torch.Generator().manual_seed(1)
    for parameter in router.parameters():
        torch.nn.init.normal_(parameter, std=0.7, generator=generator)
    return router.requires_grad_(False)


def _history(choice: Choice, request: RoutingRequest) -> Tensor:
    """Bool (B, H, L, T): the tokens of the history that are attended to."""
    if choice.scores_BHLT is not None:
        assert choice.indices_BHLK.shape[-1] == 0
        return (choice.scores_BHLT > -torch.inf).expand(STORIES, HEADS, TOKENS, -1)
    for chosen in choice.indices_BHLK.flatten(0, 2).tolist():
        chunks = [chunk for chunk in chosen if chunk >= 0]
        assert len(set(chunks)) == len(chunks)
    by_chunk = mask_of(choice.indices_BHLK, request.layout.chunks)
    return by_chunk.repeat_interleave(LENGTH, dim=-1)


def _attended(choice: Choice, history_BHLT: Tensor, story: int, head: int, query: int) -> Attended:
    tokens = set(history_BHLT[story, head, query].nonzero()[:, 0].tolist())
    if choice.own_BHLL is None:
        return tokens, set(range(TOKENS))
    return tokens, set(choice.own_BHLL[story, head, query].nonzero()[:, 0].tolist())


def _tokens(chunks: set[int]) -> set[int]:
    return {chunk * LENGTH + nth for chunk in chunks for nth in range(LENGTH)}


def _best(scores: dict[int, float], count: int) -> set[int]:
    """The best by score, the lower number where two are equal."""
    return set(sorted(scores, key=lambda item: (-scores[item], item))[:count])


def _candidates(request: RoutingRequest, story: int) -> list[int]:
    return [int(chunk) for chunk in request.candidates_BC[story].nonzero()[:, 0]]


def _naive_moc(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    q, means = request.q_BHLD[story, head, query], request.means_BHCD[story, head]
    scores = {chunk: float(q @ means[chunk]) for chunk in _candidates(request, story)}
    return _best(scores, TOP_K), set(range(TOKENS))


def _naive_window(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    beside = {c: abs(c % CHUNKS - query % CHUNKS) for c in _candidates(request, story)}
    ordered = sorted(beside, key=lambda c: (SHOTS - c // CHUNKS, beside[c], c))
    return set(ordered[:TOP_K]), set(range(TOKENS))


def _naive_radial(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    distance = {
        c: (abs(c % CHUNKS - query % CHUNKS) + 1) * 2 ** (SHOTS - c // CHUNKS)
        for c in _candidates(request, story)
    }
    return _best({c: -far for c, far in distance.items()}, TOP_K), set(range(TOKENS))


def _naive_random(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    drawn = torch.rand(HEADS, TOKENS, SHOTS * CHUNKS, generator=torch.Generator().manual_seed(story))
    scores = {chunk: float(drawn[head, query, chunk]) for chunk in _candidates(request, story)}
    return _best(scores, TOP_K), set(range(TOKENS))


def _naive_moba(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    """The own block, and the best of all earlier ones; a token sees none after itself."""
    q, own = request.q_BHLD[story, head, query], query % CHUNKS
    blocks = {nth: [t for t in range(TOKENS) if t % CHUNKS == nth] for nth in range(own)}
    scores = {c: float(q @ request.means_BHCD[story, head, c]) for c in _candidates(request, story)}
    for nth, block in blocks.items():
        mean = request.own_k_BHLD[story, head, block].mean(dim=0)
        scores[SHOTS * CHUNKS + nth] = float(q @ mean)
    chosen = _best(scores, TOP_K + CHUNKS - 1)
    within = {t for t in range(query + 1) if t % CHUNKS == own}
    for nth, block in blocks.items():
        if SHOTS * CHUNKS + nth in chosen:
            within |= set(block)
    return {c for c in chosen if c < SHOTS * CHUNKS}, within


def _naive_adaspa(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    """The blocks of most attention, summed over the queries of a block; heads of high recall have fewer."""
    q, own_k, k = (x[story] for x in request.rotated())
    candidates = _candidates(request, story)
    tokens = [c * LENGTH + nth for c in candidates for nth in range(LENGTH)]
    recall, masses = [], []
    for h in range(HEADS):
        keys = torch.cat((own_k[h], k[h, tokens]))
        weights = (q[h] @ keys.T / math.sqrt(WIDTH)).softmax(dim=-1)[:, TOKENS:]
        by_token = dict(zip(tokens, weights.T, strict=True))
        mass = {
            (block, c): sum(
                float(by_token[c * LENGTH + nth][t])
                for nth in range(LENGTH)
                for t in range(TOKENS)
                if t % CHUNKS == block
            )
            for block in range(CHUNKS)
            for c in candidates
        }
        kept = sum(
            mass[block, c]
            for block in range(CHUNKS)
            for c in _best({c: mass[block, c] for c in candidates}, TOP_K)
        )
        recall.append(kept / sum(mass.values()))
        masses.append(mass)
    high = min(HEADS // 2, sum(share >= HIGH_RECALL for share in recall))
    ranked = sorted(range(HEADS), key=lambda h: -recall[h])
    moved = TOP_K // 2
    budget = TOP_K - moved * (head in ranked[:high]) + moved * (head in ranked[HEADS - high :])
    of_block = {c: masses[head][query % CHUNKS, c] for c in candidates}
    return _best(of_block, budget), set(range(TOKENS))


def _naive_moga(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    """The tokens of the query's group, the surest members of it first."""
    layer = dict(_learned("moga").named_parameters())
    weight, bias = layer["layers.1.weight"], layer["layers.1.bias"]

    def groups(values: Tensor, token: int) -> list[float]:
        return [float(p) for p in (weight @ values[:, token].flatten() + bias).softmax(dim=0)]

    assert request.values is not None
    v, past_v = (x[story] for x in request.values())
    mine = groups(v, query)
    group = mine.index(max(mine))
    members = {
        token: belongs[group]
        for token in _tokens(set(_candidates(request, story)))
        if (belongs := groups(past_v, token)).index(max(belongs)) == group
    }
    return _best(members, TOP_K * LENGTH), set(range(TOKENS))


def _naive_vorta(request: RoutingRequest, story: int, head: int, query: int) -> Attended:
    """Full attention for heads that ask for it most, as far as others keep a chunk; else the likelier way."""
    layer = dict(_learned("vorta").named_parameters())
    assert request.time_BE is not None
    time = request.time_BE[story]
    scores = layer["layers.1.weight"] @ (time * time.sigmoid()) + layer["layers.1.bias"]
    ways = [[float(p) for p in scores[3 * h : 3 * h + 3].softmax(dim=0)] for h in range(HEADS)]
    candidates = _candidates(request, story)
    whole, budget = len(candidates) * LENGTH, TOP_K * LENGTH
    eager = sorted((h for h in range(HEADS) if max(ways[h]) == ways[h][0]), key=lambda h: -ways[h][0])
    fulls = 0
    while fulls < len(eager) and (fulls + 1) * whole + (HEADS - fulls - 1) * LENGTH <= HEADS * budget:
        fulls += 1
    if head in eager[:fulls]:
        return _tokens(set(candidates)), set(range(TOKENS))
    most = (HEADS * budget - fulls * whole) // (HEADS - fulls)
    if ways[head][1] >= ways[head][2]:
        beside = {c: abs(c % CHUNKS - query % CHUNKS) for c in candidates}
        ordered = sorted(beside, key=lambda c: (SHOTS - c // CHUNKS, beside[c], c))
        return _tokens(set(ordered[: most // LENGTH])), set(range(TOKENS))
    return _naive_coreset(request, story, head, most), set(range(TOKENS))


def _naive_coreset(request: RoutingRequest, story: int, head: int, most: int) -> set[int]:
    """The centre of each bucket, and what is least like it; chunk by chunk through the shots."""
    k = request.rotated()[2][story, head]
    ordered = sorted(_candidates(request, story), key=lambda c: (c % CHUNKS, c))
    tokens = [c * LENGTH + nth for c in ordered for nth in range(LENGTH)]
    if most >= len(tokens):
        return set(tokens)
    length = math.ceil(len(tokens) / (most // 2))
    kept: set[int] = set()
    for start in range(0, len(tokens), length):
        bucket = tokens[start : start + length]
        centre = bucket.pop(len(bucket) // 2)
        kept.add(centre)
        likeness = [float(torch.cosine_similarity(k[token], k[centre], dim=0)) for token in bucket]
        if bucket:
            kept.add(bucket[likeness.index(min(likeness))])
    return kept


NAIVE: dict[str, Callable[[RoutingRequest, int, int, int], Attended]] = {
    "moc": _naive_moc,
    "window": _naive_window,
    "radial": _naive_radial,
    "random": _naive_random,
    "moba": _naive_moba,
    "adaspa": _naive_adaspa,
    "moga": _naive_moga,
    "vorta": _naive_vorta,
}
LEARNED = ("moga", "vorta")
"""Routers with parameters, which choose single tokens; others choose chunks."""

routers = pytest.mark.parametrize("name", ROUTERS)


def test_every_router_that_settings_name_is_there() -> None:
    assert tuple(BUILT_IN) == ROUTERS == tuple(NAIVE)
    for name, entry in BUILT_IN.items():
        assert entry.name == name
        assert entry.source


@routers
def test_a_router_equals_its_rule(name: str) -> None:
    for seed in range(3):
        request = _request(seed)
        choice = _made(name).choose(request)
        history = _history(choice, request)
        for story in range(STORIES):
            for head in range(HEADS):
                for query in range(TOKENS):
                    past, own = NAIVE[name](request, story, head, query)
                    expected = past if name in LEARNED else _tokens(past), own
                    found = _attended(choice, history, story, head, query)
                    assert found == expected, (seed, story, head, query)


@routers
@pytest.mark.parametrize("top_k", [0, 1, 2, 5, 1000])
@pytest.mark.parametrize("chunking", ["track", "frame"])
def test_a_router_keeps_its_budget(name: str, top_k: int, chunking: str) -> None:
    request = _request(top_k=top_k)
    if chunking == "frame":
        routing = replace(request.routing, chunking="frame")
        request = replace(request, routing=routing, own_chunk_L=torch.arange(TOKENS) // LENGTH)
    choice = _made(name).choose(request)
    within = TOKENS if choice.own_BHLL is None else choice.own_BHLL.sum(dim=(1, 2, 3)) / (HEADS * TOKENS)
    history = _history(choice, request).sum(dim=(1, 2, 3)) / (HEADS * TOKENS)
    assert bool((history + within <= TOKENS + top_k * LENGTH).all())
    if top_k == 1000 and name != "moga":  # everything that may be attended to; of MoGA's the own group
        of_story = request.candidates_BC.sum(dim=1) * LENGTH
        assert history.tolist() == of_story.tolist()


@routers
def test_a_router_chooses_candidates_alone_and_nothing_later(name: str) -> None:
    request = _request(5, top_k=4)
    choice = _made(name).choose(request)
    order = torch.arange(TOKENS).unflatten(0, (LENGTH, CHUNKS)).T.flatten().argsort()
    for story in range(STORIES):
        attended = _history(choice, request)[story].flatten(0, 1).any(dim=0).nonzero()[:, 0].tolist()
        assert set(attended) <= _tokens(set(_candidates(request, story)))
    if BUILT_IN[name].routes_own:
        assert choice.own_BHLL is not None
        assert not (choice.own_BHLL & (order > order[:, None])).any()
        assert choice.own_BHLL.diagonal(dim1=2, dim2=3).all()
    else:
        assert choice.own_BHLL is None


@routers
def test_a_banned_chunk_does_not_change_the_choice_whatever_it_holds(name: str) -> None:
    request = _request(6)
    banned = ~request.candidates_BC[:, None, :, None]
    q, own_k, k = request.rotated()
    assert request.values is not None
    v, past_v = request.values()
    other = replace(
        request,
        means_BHCD=request.means_BHCD.masked_fill(banned, 1e3),
        rotated=lambda: (q, own_k, k.masked_fill(banned.repeat_interleave(LENGTH, dim=2), 1e3)),
        values=lambda: (v, past_v.masked_fill(banned.repeat_interleave(LENGTH, dim=2), 1e3)),
    )
    assert _same(_made(name).choose(request), _made(name).choose(other))


@routers
def test_the_same_film_gets_the_same_choices(name: str) -> None:
    one, other = _made(name), _made(name)
    for step in range(4):
        assert _same(one.choose(_request(step, step=step)), other.choose(_request(step, step=step)))


@routers
def test_a_shot_without_a_history_chooses_none_of_it(name: str) -> None:
    request = _request()
    first = replace(
        request,
        means_BHCD=request.means_BHCD[:, :, :0],
        layout=by_length([], 1),
        shot=0,
        candidates_BC=request.candidates_BC[:, :0],
        rotated=lambda: (request.q_BHLD, request.own_k_BHLD, request.own_k_BHLD[:, :, :0]),
        values=lambda: (request.q_BHLD, request.own_k_BHLD[:, :, :0]),
    )
    choice = _made(name).choose(first)
    assert not _history(choice, first).any()
    assert choice.indices_BHLK.shape[:3] == (STORIES, HEADS, TOKENS)


def _same(one: Choice, other: Choice) -> bool:
    def equal(a: Tensor | None, b: Tensor | None) -> bool:
        return a is b is None or (a is not None and b is not None and torch.equal(a, b))

    return (
        equal(one.indices_BHLK, other.indices_BHLK)
        and equal(one.own_BHLL, other.own_BHLL)
        and equal(one.scores_BHLT, other.scores_BHLT)
    )


def test_masks_are_searched_in_some_steps_and_hold_between_them() -> None:
    router = _made("adaspa")
    searched = router.choose(_request(0, step=2))  # the second of three searches, of ten steps
    assert _same(router.choose(_request(1, step=3)), searched)
    assert not _same(router.choose(_request(1, step=6)), searched)
    without_caption = replace(_request(2, step=7), guided=False)
    assert _same(router.choose(without_caption), _made("adaspa").choose(without_caption))
    router.begin()
    assert _same(router.choose(_request(3, step=7)), _made("adaspa").choose(_request(3)))


@pytest.mark.parametrize("name", LEARNED)
def test_a_router_that_learns_is_refused_without_parameters(name: str) -> None:
    for learned in (None, {}, {"another": _learned("moga")}):
        with pytest.raises(
            ModelMismatch, match=f"router {name} is learned, and this model has no parameters"
        ):
            BUILT_IN[name].start([], learned)


def test_heads_of_vorta_go_all_three_ways() -> None:
    """So that the comparison with its rule compares each of them."""
    router = _learned("vorta")
    assert isinstance(router, VortaRouter)
    ways = torch.stack([router.probabilities(_request(seed)).argmax(dim=-1) for seed in range(3)])
    assert ways.unique().tolist() == [0, 1, 2]


def test_a_group_s_attention_is_weighted_by_its_probability() -> None:
    request = _request()
    scores = _made("moga").choose(request).scores_BHLT
    assert scores is not None
    chosen = scores[scores > -torch.inf].exp()
    assert len(chosen)
    assert bool(((chosen > 1 / GROUPS) & (chosen < 1)).all())


def test_the_outer_loop_narrows_to_whole_shots() -> None:
    request = _request(top_k=TOP_K)
    narrowed = replace(request, routing=replace(request.routing, outer_shots=1))
    chosen = _made("moc").choose(narrowed).indices_BHLK
    assert ((chosen // CHUNKS).masked_fill(chosen < 0, 0).amax(dim=-1) == (chosen[..., 0] // CHUNKS)).all()


PLUGIN = """
from moc_engine.ops.routers.registry import BUILT_IN
from dataclasses import replace
MINE = replace(BUILT_IN["window"], name="mine")
"""
PROGRAM = """
from moc_engine.config import router_names
from moc_engine.evaluation.generation.methods import method_names
from moc_engine.ops.routers.registry import find_router
print(find_router("mine").name, router_names()[-2:], "mine" in method_names())
try:
    find_router("lame")
except ValueError as error:
    print(error)
"""


def test_third_parties_add_routers_by_entry_points(tmp_path: Path) -> None:
    told = tmp_path / "mine-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[moc_studio.routers]\nmine = mine:MINE\nlame = mine:replace\n")
    (tmp_path / "mine.py").write_text(PLUGIN)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "mine ('lame', 'mine') True",
        "the plug-in mine:replace for 'lame' is not a RouterEntry",
    ]


def test_an_unknown_router_is_told() -> None:
    with pytest.raises(ValueError, match="unknown router 'magic'; there are moc, window"):
        find_router("magic")

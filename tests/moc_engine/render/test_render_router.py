"""Which routers a render can use, and what it says of others."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from moc_engine.config import (
    RENDER_ROUTERS,
    ROUTERS,
    RoutingChoice,
    RoutingConfig,
    SamplerConfig,
    render_router_names,
)
from moc_engine.errors import EngineError
from moc_engine.memory.grid import TokenGrid
from moc_engine.ops.layout import by_length
from moc_engine.ops.routing import eligible
from moc_engine.render.render_router import RenderRouter, check_router
from moc_engine.render.shot_denoising import shot_denoising
from tests.fakes.host_syncs import no_host_syncs
from tests.fakes.prepared import VIDEO, bare_video, histories_of, prepared_render

SAMPLER = SamplerConfig(steps=3, guidance=3.0)

PLUG_IN = """
from moc_engine.ops.routers.router import Choice, LearnedRouter, RouterEntry, StatelessRouter, untrained

def looks_at_keys(request):
    assert (request.step, request.steps) == (2, 3)
    request.rotated()

def chooses_tokens(request):
    return Choice(indices_BHLK=None, scores_BHLT=0.0 * request.q_BHLD[..., 0])

TOKENS = RouterEntry(name="tokens", title="t", source="-", make=lambda _: StatelessRouter(chooses_tokens))
KEYS = RouterEntry(name="keys", title="keys", source="-", make=lambda _: StatelessRouter(looks_at_keys))
OWN = RouterEntry(
    name="own-too", title="own", source="-", make=lambda _: StatelessRouter(looks_at_keys), routes_own=True
)
TAUGHT = RouterEntry(
    name="taught", title="taught", source="-", make=untrained("taught"), parameters=LearnedRouter
)
"""


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Routers by entry points: one looks at single keys, one chooses within the shot, and one learns."""
    told = tmp_path / "mine-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (told / "entry_points.txt").write_text(
        "[moc_studio.routers]\nkeys = mine_routers:KEYS\nown-too = mine_routers:OWN\n"
        "taught = mine_routers:TAUGHT\ntokens = mine_routers:TOKENS\n"
    )
    (tmp_path / "mine_routers.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_routers", raising=False)


def test_routers_of_evaluations_alone_are_refused_in_words() -> None:
    for name in RENDER_ROUTERS:
        assert RoutingConfig(router=name).router == name
        check_router(RoutingConfig(router=name), boosted=False)
    for name in set(ROUTERS) - set(RENDER_ROUTERS):
        with pytest.raises(
            ValueError, match=f"router: '{name}' is for evaluations alone; renders can use moc, "
        ):
            RoutingChoice(router=name)
    with pytest.raises(ValueError, match="router: unknown router 'nearest'"):
        RoutingConfig(router="nearest")


@pytest.mark.usefixtures("plug_ins")
def test_learned_routers_of_packages_are_refused_in_words() -> None:
    with pytest.raises(EngineError, match="the router taught is learned"):
        check_router(RoutingConfig(router="taught"), boosted=False)


def test_boosts_need_scores() -> None:
    check_router(RoutingConfig(), boosted=True)
    with pytest.raises(EngineError, match="the router window has no scores that could be boosted"):
        check_router(RoutingConfig(router="window"), boosted=True)


@pytest.mark.usefixtures("plug_ins")
def test_plug_ins_are_offered_and_told_what_renders_do_not_give() -> None:
    assert render_router_names() == (*RENDER_ROUTERS, "keys", "own-too", "taught", "tokens")
    with pytest.raises(EngineError, match="the router own-too also chooses within the shot"):
        check_router(RoutingConfig(router="own-too"), boosted=False)
    grid, layout = TokenGrid(frames=1, height=2, width=1, chunking="track"), by_length([2], 1)
    rule, q = eligible(layout, 1), torch.zeros(1, 1, 2, 4)
    for name, words in (("keys", "looks at single keys"), ("tokens", "chooses single tokens")):
        config = RoutingConfig(router=name)
        check_router(config, boosted=False)
        router = RenderRouter(config, grid, layout, rule, shot=1, steps=3, device=torch.device("cpu"))
        router.begin(2)
        with pytest.raises(EngineError, match=f"the router {name} {words}"):
            router.choose(0, q, q, torch.zeros(1, 2, 4))


@pytest.mark.parametrize("name", RENDER_ROUTERS)
@pytest.mark.parametrize("chunking", ["frame", "track"])
def test_no_step_makes_the_host_wait(name: str, chunking: str) -> None:
    meta = torch.device("meta")
    backbone = bare_video(meta)
    config = RoutingConfig(backend="gathered", chunking=chunking, router=name)  # type: ignore[arg-type]
    render = prepared_render(backbone, VIDEO, 3, config, SAMPLER)
    steps = shot_denoising(render, backbone, histories_of(backbone, render)).steps()
    next(steps)
    with no_host_syncs():
        assert [step.step for step in steps] == [2, 3]


def test_a_denoised_shot_differs_by_router_and_the_trace_says_which() -> None:
    cpu = torch.device("cpu")
    backbone = bare_video(cpu)
    found = {}
    for name in RENDER_ROUTERS:
        config = RoutingConfig(top_k=1, chunking="frame", router=name)
        render = prepared_render(backbone, VIDEO, 4, config, SAMPLER)
        denoising = shot_denoising(render, backbone, histories_of(backbone, render))
        latents = list(denoising.steps())[-1].latents
        trace = denoising.finished_trace()
        assert trace.routing["router"] == name
        found[name] = latents.numpy()
        if name != "moc":  # beside the pinned first shot
            assert {shot for shot, share in trace.shot_shares().items() if share} == {0, 3}
    assert not np.allclose(found["moc"], found["window"])
    np.testing.assert_array_equal(found["window"], found["radial"])  # one chunk: the latest frame

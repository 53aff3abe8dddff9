"""Training attention against the engine's own: the same tokens, the same choice, the same result."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.layout import by_frame, by_track
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routing import route
from moc_engine.training.story_attention import StoryAttention
from moc_engine.training.story_rules import StoryRules
from tests.fakes.kernels import DEVICE

STORIES, SHOTS, HEADS, FRAMES, SLOTS, WIDTH = 2, 4, 2, 3, 5, 12
TOKENS = FRAMES * SLOTS
CONFIG = {"attention_head_dim": WIDTH}


@dataclass
class Step:
    """Random projections of one step: clean rows, then noisy rows."""

    q: Tensor
    k: Tensor
    v: Tensor

    def clean(self, x: Tensor) -> Tensor:
        return x[: STORIES * (SHOTS - 1)].view(STORIES, SHOTS - 1, *x.shape[1:])

    def noisy(self, x: Tensor) -> Tensor:
        return x[STORIES * (SHOTS - 1) :].view(STORIES, SHOTS, *x.shape[1:])


def _step(seed: int = 0) -> Step:
    generator = torch.Generator().manual_seed(seed)
    rows = STORIES * (2 * SHOTS - 1)
    return Step(*(torch.randn(rows, HEADS, TOKENS, WIDTH, generator=generator) for _ in range(3)))


def _angles() -> tuple[Tensor, Tensor]:
    t = torch.arange(SHOTS)[:, None] * FRAMES + torch.arange(FRAMES).repeat_interleave(SLOTS)
    h = torch.arange(SLOTS).repeat(FRAMES)
    return rotary_angles(CONFIG, t, h, torch.zeros_like(h))


def _run(step: Step, rules: StoryRules) -> Tensor:
    attention = StoryAttention(slots=SLOTS, rules=rules, angles=_angles())
    return attention.attend(0, step.q, step.k, step.v)


def _oracle(step: Step, shot: int, routing: RoutingConfig, steering: Steering) -> Tensor:
    """The noisy rows of `shot`, worked out by `route` and the naive backend."""
    cos, sin = _angles()
    if routing.chunking == "track":
        layout, order = by_track([FRAMES] * (shot + 1), SLOTS)
    else:
        layout = by_frame([FRAMES] * (shot + 1), SLOTS)
        order = np.arange(layout.tokens)

    def story(x: Tensor, turn: bool) -> Tensor:
        shots = [*self_clean(x)[:shot], step.noisy(x)[:, shot]]
        parts = [apply_rotary(s, cos[i], sin[i]) if turn else s for i, s in enumerate(shots)]
        return torch.cat(parts, dim=2)[:, :, order]

    def self_clean(x: Tensor) -> list[Tensor]:
        return [step.clean(x)[:, i] for i in range(SHOTS - 1)]

    own = order[shot * TOKENS :] - shot * TOKENS
    q = step.noisy(step.q)[:, shot]
    turned = apply_rotary(q, cos[shot], sin[shot])[:, :, own]
    pool_after = routing.pooling == "after"
    selection = route(
        turned,
        story(step.k, turn=pool_after),
        layout,
        query_shot=shot,
        config=routing,
        steering=steering,
        routing_queries=turned if pool_after else q[:, :, own],
    )
    out = moc_attention(turned, story(step.k, True), story(step.v, False), layout, selection, "naive")
    return out[:, :, np.argsort(own)]


@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize("pooling", ["before", "after"])
@pytest.mark.parametrize("top_k", [0, 1, 3, 100])
def test_noisy_shots_attend_as_the_engine_does(chunking: str, pooling: str, top_k: int) -> None:
    step = _step()
    routing = RoutingConfig(top_k=top_k, chunking=chunking, pooling=pooling)  # type: ignore[arg-type]
    out = step.noisy(_run(step, StoryRules(routing=routing)))
    for shot in range(SHOTS):
        torch.testing.assert_close(
            out[:, shot], _oracle(step, shot, routing, Steering()), atol=1e-5, rtol=1e-4
        )


def test_pins_and_bans_are_those_of_the_engine() -> None:
    step, routing = _step(1), RoutingConfig(top_k=2)
    candidates = torch.ones(STORIES, SHOTS, SHOTS, dtype=torch.bool)
    pinned = torch.zeros_like(candidates)
    candidates[:, 3, 1] = False
    pinned[:, 3, 0] = True
    out = step.noisy(_run(step, StoryRules(routing=routing, candidates=candidates, pinned=pinned)))
    expected = _oracle(step, 3, routing, Steering(pins=(0,), bans=(1,)))
    torch.testing.assert_close(out[:, 3], expected, atol=1e-5, rtol=1e-4)


def test_dense_equals_taking_every_chunk() -> None:
    step = _step(2)
    dense = _run(step, StoryRules(routing=None))
    routed = _run(step, StoryRules(routing=RoutingConfig(top_k=1000)))
    torch.testing.assert_close(dense, routed, atol=1e-5, rtol=1e-4)


def test_dense_with_bans_leaves_out_the_banned_shot() -> None:
    step = _step(2)
    candidates = torch.ones(STORIES, SHOTS, SHOTS, dtype=torch.bool)
    candidates[:, 3, 1] = False
    before = _run(step, StoryRules(routing=None, candidates=candidates))
    changed = _step(2)
    changed.clean(changed.k)[:, 1] += 1.0
    changed.clean(changed.v)[:, 1] += 1.0
    after = _run(changed, StoryRules(routing=None, candidates=candidates))
    assert torch.equal(step.noisy(before)[:, 3], step.noisy(after)[:, 3])
    assert not torch.equal(step.noisy(before)[:, 2], step.noisy(after)[:, 2])


def test_nothing_flows_from_later_shots_or_from_noisy_copies() -> None:
    rules = StoryRules(routing=RoutingConfig(top_k=3))
    step, changed = _step(3), _step(3)
    changed.clean(changed.k)[:, 2] = 50.0
    changed.clean(changed.v)[:, 2] = 1e6
    changed.noisy(changed.k)[:, 1] = 7.0
    before, after = _run(step, rules), _run(changed, rules)
    assert torch.equal(step.clean(before)[:, :2], step.clean(after)[:, :2])
    assert torch.equal(step.noisy(before)[:, [0, 2]], step.noisy(after)[:, [0, 2]])
    assert not torch.equal(step.noisy(before)[:, 1], step.noisy(after)[:, 1])


def test_gradients_flow_into_the_memories() -> None:
    step = _step(4)
    step.k.requires_grad_()
    step.v.requires_grad_()
    out = step.noisy(_run(step, StoryRules(routing=RoutingConfig(top_k=2))))
    out[:, 3].square().sum().backward()
    assert step.k.grad is not None
    assert step.v.grad is not None
    for shot in range(SHOTS - 1):
        assert step.clean(step.v.grad)[:, shot].abs().sum() > 0
        assert step.clean(step.k.grad)[:, shot].abs().sum() > 0
    assert step.noisy(step.v.grad)[:, :3].abs().sum() == 0


@pytest.mark.parametrize("backend", ["auto", "grouped", "gathered", "masked"])
def test_every_backend_trains_alike(backend: str) -> None:
    candidates = torch.ones(STORIES, SHOTS, SHOTS, dtype=torch.bool)
    candidates[0, 3, 1] = False
    pinned = torch.zeros_like(candidates)
    pinned[1, 3, 0] = pinned[1, 2, 1] = True
    results = []
    for name in (backend, "naive"):
        routing = RoutingConfig(top_k=2, drop_off=0.5, drop_in=1.0, backend=name)
        rules = StoryRules(routing=routing, candidates=candidates, pinned=pinned, seed=7)
        step = _step(7)
        inputs = [x.requires_grad_() for x in (step.q, step.k, step.v)]
        out = _run(step, rules)
        results.append((out, *torch.autograd.grad(out.square().sum(), inputs)))
    for got, want in zip(*results, strict=True):
        torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-3)


def test_drop_off_and_drop_in_need_a_seed_and_repeat_with_it() -> None:
    step = _step(5)
    routing = RoutingConfig(top_k=3, drop_off=0.9, drop_in=2.0)

    def draw(seed: int) -> Tensor:
        return _run(step, StoryRules(routing=routing, seed=seed))

    plain = _run(step, StoryRules(routing=RoutingConfig(top_k=3)))
    assert torch.equal(_run(step, StoryRules(routing=routing)), plain)
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), plain)


@pytest.mark.parametrize("half", [False, True])
def test_triton_computes_what_other_backends_do_with_gradients(half: bool) -> None:
    """Several stories, whose shots share their memories; on bfloat16 under autocast."""
    step = _step(3)
    pinned = torch.zeros(STORIES, SHOTS, SHOTS, dtype=torch.bool, device=DEVICE)
    pinned[1, 3, 0] = True
    angles = tuple(x.to(DEVICE) for x in _angles())
    generator = torch.Generator().manual_seed(4)
    grad = torch.randn(step.q[:, :1].shape, generator=generator).to(DEVICE)
    found = []
    for backend in ("grouped", "triton"):
        rules = StoryRules(routing=RoutingConfig(top_k=2, backend=backend), pinned=pinned)
        attention = StoryAttention(slots=SLOTS, rules=rules, angles=(angles[0], angles[1]))
        leaves = [x[:, :1].detach().to(DEVICE).requires_grad_() for x in (step.q, step.k, step.v)]
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=half):
            out = attention.attend(0, leaves[0], leaves[1], leaves[2])
        found.append((out.detach().float(), *torch.autograd.grad(out, leaves, grad.to(out.dtype))))
    tolerance = 3e-2 if half else 1e-5
    for mine, theirs in zip(found[1], found[0], strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < tolerance

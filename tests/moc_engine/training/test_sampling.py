from dataclasses import replace

import torch

from moc_engine.training.recipes import cpu
from moc_engine.training.sampling import draw_rules, draw_starts


def test_shots_begin_in_order_and_never_overlap() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        starts = draw_starts(6, 4, gaps=0.5, generator=generator)
        assert (starts.diff() >= 4).all()
    assert draw_starts(6, 4, gaps=0.0, generator=generator).tolist() == [0, 4, 8, 12, 16, 20]


def test_rules_grow_sparse_and_never_both_pin_and_ban() -> None:
    plan, generator = cpu(), torch.Generator().manual_seed(0)
    device = torch.device("cpu")
    early = draw_rules(plan, 8, 6, 0, generator, device)
    late = draw_rules(plan, 8, 6, plan.steps - 1, generator, device)
    assert early.routing is None
    assert late.routing is not None
    assert late.routing.top_k == 3
    assert late.candidates is not None
    assert late.pinned is not None
    assert late.pinned.any()
    assert not late.candidates.all()
    assert not (late.pinned & ~late.candidates).any()


def test_without_memory_nothing_of_earlier_shots_may_be_attended_to() -> None:
    generator = torch.Generator().manual_seed(0)
    rules = draw_rules(replace(cpu(), router="own"), 8, 6, 0, generator, torch.device("cpu"))
    assert rules.candidates is not None
    assert rules.pinned is not None
    assert not rules.candidates.any()
    assert not rules.pinned.any()

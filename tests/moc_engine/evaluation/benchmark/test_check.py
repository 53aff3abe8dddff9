"""The reference of the benchmark against plain torch in float64."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.evaluation.benchmark import check
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.routed import choose
from moc_engine.evaluation.benchmark.story import Story, build_story

CASE = Case(name="x", part="backward", shots=4, chunks=2, chunk=5, heads=2, width=8, top_k=2, dtype="float32")
CPU = torch.device("cpu")


def _mask(story: Story, chosen: Tensor) -> Tensor:
    """Bool (1, H, L, T): own tokens and those of chosen chunks, one by one."""
    mask = torch.zeros(1, 2, 10, 40, dtype=torch.bool)
    mask[..., 30:] = True
    for head in range(2):
        for query in range(10):
            for chunk in chosen[0, head, query].tolist():
                mask[0, head, query, 5 * chunk : 5 * chunk + 5] = True
    return mask


def test_the_reference_is_masked_attention_with_its_gradients() -> None:
    story = build_story(CASE, CPU)
    chosen = choose(story)
    q, k, v = (x.double().requires_grad_() for x in (story.q, story.k, story.v))
    right = scaled_dot_product_attention(q, k, v, attn_mask=_mask(story, chosen))
    right.backward(story.grad.double())
    mask = check.attended_chunks(story, chosen[0], own_shot=True)
    sample = check.sampled_queries(10)
    assert sample.tolist() == list(range(10))
    assert check.relative_error(check.reference_output(story, mask, sample), right[0]) < 1e-12
    for found, leaf in zip(check.reference_gradients(story, mask, 2), (q, k, v), strict=True):
        assert leaf.grad is not None
        assert check.relative_error(found, leaf.grad[0]) < 1e-12


def test_a_choice_is_judged_by_its_scores() -> None:
    story = build_story(CASE, CPU)
    chosen = choose(story)[0]
    sample = check.sampled_queries(10)
    assert check.choice_error(story, chosen, sample) == 0.0
    others = (chosen + 1) % 6
    assert check.choice_error(story, others, sample) > 0.1
    twice = chosen[..., :1].expand(-1, -1, 2)
    assert check.choice_error(story, twice, sample) == float("inf")
    fewer = torch.cat((chosen[..., :1], torch.full_like(chosen[..., :1], -1)), dim=-1)
    assert check.choice_error(story, fewer, sample) == float("inf")


def test_errors_are_relative_and_never_hidden() -> None:
    assert check.relative_error(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0])) == 0.1
    assert check.relative_error(torch.tensor([torch.nan]), torch.tensor([1.0])) == float("inf")
    assert check.relative_error(torch.tensor([1.0]), torch.tensor([0.0])) == float("inf")
    assert check.relative_error(torch.tensor([0.0]), torch.tensor([0.0])) == 0.0


def test_stories_are_the_same_each_time_and_scale() -> None:
    one, other = build_story(CASE, CPU), build_story(CASE, CPU)
    assert torch.equal(one.q, other.q)
    assert torch.equal(one.k[:, :, :30], one.history_k)
    assert torch.equal(one.scaled(3.0).k, one.k * 3.0)
    assert one.means.shape == (1, 2, 6, 8)

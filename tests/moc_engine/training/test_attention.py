import pytest
import torch

from moc_engine.config import Chunking, RoutingConfig
from moc_engine.training.attention import dense_attention, routed_attention
from moc_engine.training.memories import Memories, chunk_descriptors
from moc_engine.training.memory_choice import tokens_of_chunks

STORIES, SHOTS, HEADS, SLOTS, TOKENS, WIDTH = 2, 4, 2, 5, 15, 12


@pytest.mark.parametrize("backend", ["naive", "grouped", "gathered", "masked"])
@pytest.mark.parametrize("chunking", ["track", "frame"])
def test_gradients_are_those_of_masked_attention(chunking: Chunking, backend: str) -> None:
    draws = torch.Generator().manual_seed(6)
    shape = (STORIES, HEADS, TOKENS, WIDTH)
    q, k, v = (torch.randn(shape, generator=draws, requires_grad=True) for _ in range(3))
    keys, values = (
        torch.randn(STORIES, HEADS, SHOTS, TOKENS, WIDTH, generator=draws, requires_grad=True)
        for _ in range(2)
    )
    means = chunk_descriptors(keys, slots=SLOTS, chunking=chunking)
    memories = Memories(keys=keys, values=values, descriptors=means)
    chunks = SHOTS * means.shape[3]
    chosen = torch.rand(STORIES, HEADS, TOKENS, chunks, generator=draws).argsort(dim=-1)[..., :3]
    chosen[:, :, ::2, 1] = -1
    routing = RoutingConfig(chunking=chunking, backend=backend)
    routed = routed_attention(q, k, v, memories, chosen, slots=SLOTS, routing=routing)
    mask = tokens_of_chunks(chosen, memories, slots=SLOTS, chunking=chunking)
    masked = dense_attention(q, k, v, memories, mask)
    torch.testing.assert_close(routed, masked, atol=1e-5, rtol=1e-4)
    weights = torch.randn(shape, generator=draws)
    for mine, theirs in zip(
        torch.autograd.grad((routed * weights).sum(), (q, k, v, keys, values)),
        torch.autograd.grad((masked * weights).sum(), (q, k, v, keys, values)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)

import torch

from moc_engine.models.animatic.scene import CHANNELS, SLOT_FIELDS, SLOTS
from moc_engine.training.objective import UNUSED_WEIGHT, channel_weights, draw_noise, flow_loss


def _latents() -> torch.Tensor:
    return torch.randn(3, 4, 6, SLOTS, CHANNELS, generator=torch.Generator().manual_seed(0))


def test_noise_levels_differ_from_shot_to_shot_and_memories_are_nearly_clean() -> None:
    draw = draw_noise(_latents(), torch.Generator().manual_seed(1), memory_noise=0.1)
    assert draw.level.unique().numel() == 12
    assert draw.level.min() > 0
    assert draw.level.max() < 1
    assert draw.clean_level.shape == (3, 3)
    assert draw.clean_level.max() <= 0.1


def test_copies_lie_between_latents_and_noise() -> None:
    latents = _latents()
    draw = draw_noise(latents, torch.Generator().manual_seed(1), memory_noise=0.0)
    assert torch.equal(draw.clean(latents), latents[:, :-1])
    level = draw.level[2, 3]
    torch.testing.assert_close(
        draw.noisy(latents)[2, 3], (1 - level) * latents[2, 3] + level * draw.noise[2, 3]
    )


def test_the_same_generator_state_draws_the_same() -> None:
    one, other = (
        draw_noise(_latents(), torch.Generator().manual_seed(5), memory_noise=0.1) for _ in range(2)
    )
    assert torch.equal(one.level, other.level)
    assert torch.equal(one.noise, other.noise)


def test_channels_no_slot_uses_count_least() -> None:
    weights = channel_weights()
    for slot, fields in enumerate(SLOT_FIELDS):
        used = sum(f.width for f in fields)
        assert (weights[slot, :used] >= 1.0).all()
        assert (weights[slot, used:] == UNUSED_WEIGHT).all()


def test_the_loss_is_nothing_for_the_truth_and_weighs_low_noise_more() -> None:
    latents, weights = _latents(), channel_weights()
    low, high = torch.full((3, 4), 0.3), torch.full((3, 4), 0.9)
    assert flow_loss(latents, latents, low, weights) == 0
    wrong = latents + 0.1
    assert flow_loss(wrong, latents, low, weights) > flow_loss(wrong, latents, high, weights) > 0
    nearly_none = torch.full((3, 4), 1e-6)
    assert flow_loss(wrong, latents, nearly_none, weights).isfinite()


def test_a_trembling_error_weighs_more_than_a_steady_one() -> None:
    latents, weights = _latents(), channel_weights()
    level = torch.full((3, 4), 0.5)
    steady = torch.full_like(latents, 0.1)
    trembling = steady * torch.tensor([1.0, -1.0]).repeat(3)[:, None, None]
    assert flow_loss(latents + trembling, latents, level, weights) > 2 * flow_loss(
        latents + steady, latents, level, weights
    )

import pytest
import torch
from torch import nn

from moc_engine.training.tuning.average import WeightAverage


def test_the_decay_rises_to_its_value() -> None:
    weight = nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight], 0.27)
    weight.data.fill_(1.0)
    average.step()
    torch.testing.assert_close(average.averages[0], torch.full((2,), 1 - 2 / 11))
    for _ in range(3):
        average.step()
    expected = 1 - (2 / 11) * (3 / 12) * 0.27**2  # 4 / 13 is above .27
    torch.testing.assert_close(average.averages[0], torch.full((2,), expected))


def test_the_weights_are_the_averages_within_the_block_alone() -> None:
    weight = nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight], 0.5)
    weight.data.fill_(1.0)
    average.step()
    with pytest.raises(RuntimeError, match="of the block"), average.applied():
        torch.testing.assert_close(weight.detach(), average.averages[0])
        assert not torch.equal(weight, torch.ones(2))
        raise RuntimeError("of the block")
    assert torch.equal(weight, torch.ones(2))


def test_without_a_decay_nothing_is_kept() -> None:
    weight = nn.Parameter(torch.ones(2))
    average = WeightAverage([weight], 0.0)
    average.step()
    with average.applied():
        assert torch.equal(weight, torch.ones(2))
    assert average.averages == []


def test_an_average_goes_on_as_it_was() -> None:
    weight = nn.Parameter(torch.zeros(2))
    average = WeightAverage([weight], 0.9)
    weight.data.fill_(1.0)
    average.step()
    other = WeightAverage([nn.Parameter(torch.ones(2))], 0.9)
    other.restore(average.steps, [x.clone() for x in average.averages])
    average.step()
    other.step()
    assert torch.equal(average.averages[0], other.averages[0])
    with pytest.raises(ValueError, match="has the shape"):
        other.restore(1, [torch.zeros(3)])

import torch

from moc_engine.models.animatic.marks import CLOCK_RATES, INPUTS, with_marks
from moc_engine.models.animatic.scene import CHANNELS, SLOTS


def test_slots_are_marked_one_hot() -> None:
    marked = with_marks(torch.zeros(2, CHANNELS, 3, SLOTS, 1))
    assert marked.shape == (2, INPUTS, 3, SLOTS, 1)
    torch.testing.assert_close(marked[1, CHANNELS : CHANNELS + SLOTS, 2, :, 0], torch.eye(SLOTS))


def test_frames_are_marked_with_the_time_in_the_shot() -> None:
    clock = with_marks(torch.zeros(2, CHANNELS, 12, SLOTS, 1))[1, CHANNELS + SLOTS :, :, 5, 0]
    share, seconds, hands = clock[0], clock[1] * 4, clock[2:].unflatten(0, (-1, 2))
    torch.testing.assert_close(seconds, (torch.arange(12) + 0.5) / 6)
    torch.testing.assert_close(share, seconds - 1)
    for rate, (sine, cosine) in zip(CLOCK_RATES, hands, strict=True):
        torch.testing.assert_close(sine, torch.sin(2 * torch.pi * rate * seconds), atol=1e-5, rtol=0)
        torch.testing.assert_close(cosine, torch.cos(2 * torch.pi * rate * seconds), atol=1e-5, rtol=0)

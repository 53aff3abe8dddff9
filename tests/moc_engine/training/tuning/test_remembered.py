import torch

from moc_engine.config import MemoryConfig
from moc_engine.memory.grid import TokenGrid
from moc_engine.training.tuning.remembered import remembered
from tests.fakes.tuning import batch_of, story


def test_frames_that_change_are_remembered_of_shots_that_become_memories() -> None:
    batch = batch_of(story((4, 2)), story((3, 2), seed=1))
    still = torch.zeros_like(batch.latents)
    still[0, 0, :, 2:] = 1.0  # changes from the second frame to the third
    still[1, 0, :, 3:] = 9.0  # behind the end of the shot
    batch.latents.copy_(still)
    grids = [
        [TokenGrid(frames=length, height=2, width=3, chunking="frame") for length in lengths]
        for lengths in batch.frames
    ]
    found = remembered(MemoryConfig(policy="change", keyframes=3), batch, grids, shots=1)
    assert found is not None
    (one, without), (other, _) = found
    assert one is not None
    assert other is not None
    assert one.chunks.tolist() == [0, 2, 3]
    assert one.tokens.tolist() == [*range(6), *range(12, 24)]
    assert other.chunks.tolist() == [0, 1, 2]
    assert without is None


def test_nothing_is_chosen_where_all_is_remembered() -> None:
    batch = batch_of(story((2, 2)))
    assert remembered(MemoryConfig(), batch, [[], []], shots=1) is None

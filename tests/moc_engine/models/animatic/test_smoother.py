import pytest
import torch

from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.models.animatic.smoother import Smoother


def some(frames: int) -> torch.Tensor:
    return torch.randn(2, CHANNELS, frames, SLOTS, 1, generator=torch.Generator().manual_seed(frames))


def trained() -> Smoother:
    torch.manual_seed(0)
    smoother: Smoother = Smoother(width=8).eval()
    torch.nn.init.normal_(smoother.out.weight, std=0.1)
    return smoother


@pytest.mark.parametrize("frames", [1, 3, 24])
def test_an_untrained_smoother_is_the_identity(frames: int) -> None:
    latents = some(frames)
    assert torch.equal(Smoother(width=8)(latents), latents)


@torch.no_grad()
def test_a_frame_depends_on_frames_within_a_second() -> None:
    smoother, latents = trained(), some(24)
    other = latents.clone()
    other[:, :, 12] += 1.0
    differs = (smoother(other) - smoother(latents)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    assert differs.nonzero()[:, 0].tolist() == list(range(6, 19))


@torch.no_grad()
def test_slots_are_independent_and_distinguished() -> None:
    smoother, latents = trained(), some(6)
    latents[..., 3, :] = latents[..., 2, :]
    smooth = smoother(latents)
    assert not torch.allclose(smooth[..., 2, :], smooth[..., 3, :])
    latents[..., 5, :] += 1.0
    differs = (smoother(latents) - smooth).abs().amax(dim=(0, 1, 2, 4)) > 1e-6
    assert differs.tolist() == [slot == 5 for slot in range(SLOTS)]


@torch.no_grad()
def test_unchanged_latents_are_not_rounded() -> None:
    latents = some(6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(Smoother()(latents), latents)

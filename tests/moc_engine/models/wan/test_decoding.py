import pytest
import torch

from moc_engine.models.wan.decoding import decoded_pieces, normalised, unnormalised
from tests.fakes.autoencoders import KINDS, tiny_autoencoder


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def latents(channels: int, frames: int = 4) -> torch.Tensor:
    return torch.randn(channels, frames, 6, 10, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tiled", [False, True])
def test_pieces_equal_the_clip_decoded_whole(kind: str, tiled: bool) -> None:
    vae = tiny_autoencoder(kind)
    if tiled:
        side, stride = (int(vae.config.scale_factor_spatial) * latents for latents in (4, 3))
        vae.enable_tiling(side, side, stride, stride)
    own = latents(vae.config.z_dim)
    with torch.no_grad():
        whole = vae.decode(unnormalised(vae, own)[None], return_dict=False)[0][0]

    pieces = list(decoded_pieces(vae, own))

    assert [piece.shape[1] for piece in pieces] == [1, 4, 4, 4]
    assert torch.equal(torch.cat(pieces, dim=1), whole)


def test_each_piece_is_decoded_when_it_is_asked_for(kind: str) -> None:
    vae = tiny_autoencoder(kind)
    decoded: list[bool] = []
    vae.decoder.register_forward_hook(lambda *_: decoded.append(True))
    pieces = decoded_pieces(vae, latents(vae.config.z_dim))

    next(pieces)

    assert len(decoded) == 1
    pieces.close()
    assert vae._feat_map == [None] * len(vae._feat_map)


def test_scales_are_inverse(kind: str) -> None:
    vae = tiny_autoencoder(kind)
    own = latents(vae.config.z_dim)
    assert torch.allclose(normalised(vae, unnormalised(vae, own)), own, atol=1e-5)

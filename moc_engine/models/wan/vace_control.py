"""What VACE's layers are given of a shot: pictures to keep, a clip to follow, pictures of whom it shows.

The control of a shot is a video of as many frames, encoded twice over: what of it stays as it is (`inactive`)
and what is made anew (`reactive`), with a mask that tells the two apart. A first frame stays, the frames of a
clip are made anew, and where nothing is given the video is grey and all of it is made anew. A reference
picture is a latent frame of its own before the shot's, which stays. As in github.com/ali-vilab/VACE and
diffusers' `WanVACEPipeline`.

Shapes: C channels, F latent frames, H and W latent sides, R reference pictures, N frames, Y and X sides of
frames in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from moc_engine.clip import Frame
from moc_engine.models.base import ShotCondition, ShotPictures
from moc_engine.models.wan.autoencoder import WanAutoencoder

BLANKS_KEPT: Final = 4
"""The number of shapes whose encoded grey video is kept: every take that is read again is given it."""


class VaceControl:
    """Conditions of the shots of a VACE model: each has a control, the same for equal pictures.

    A finished shot is read again as one without pictures, so that its memory depends on its latents alone.
    """

    def __init__(self, autoencoder: WanAutoencoder) -> None:
        self._autoencoder = autoencoder
        self._blanks: dict[tuple[int, ...], Tensor] = {}

    def condition(self, pictures: ShotPictures, shape: Sequence[int]) -> ShotCondition:
        """As `TakesPictures`."""
        video_1CFHW = torch.cat((self._inactive(pictures, shape), self._reactive(pictures, shape)), dim=1)
        control = torch.cat((video_1CFHW, self._mask(pictures, shape).to(video_1CFHW)), dim=1)
        references = None
        if pictures.references:
            references = self._references(pictures.references, shape)
            stays = control.new_zeros(1, control.shape[1], references.shape[2], *shape[2:])
            stays[:, : references.shape[1]] = references
            control = torch.cat((stays, control), dim=2)
        return ShotCondition(
            control_BCFHW=control, control_scale=pictures.control_scale, references_BCFHW=references
        )

    def own_condition(self, latents_CFHW: Tensor) -> ShotCondition:
        """As `TakesPictures`."""
        return self.condition(ShotPictures(), latents_CFHW.shape)

    def _inactive(self, pictures: ShotPictures, shape: Sequence[int]) -> Tensor:
        """The latents (1, C, F, H, W) of what stays: the first frame before grey ones."""
        if pictures.first is None:
            return self._blank(shape)
        codec = self._autoencoder
        first_13NYX = codec.prepared([pictures.first], codec.pixels(shape))
        grey = first_13NYX.new_zeros(1, 3, codec.frames_of(shape[1]) - 1, *first_13NYX.shape[3:])
        return codec.encoded(torch.cat((first_13NYX, grey), dim=2))

    def _reactive(self, pictures: ShotPictures, shape: Sequence[int]) -> Tensor:
        """The latents (1, C, F, H, W) of what is made anew: a clip, grey where the first frame stays."""
        if pictures.control is None:
            return self._blank(shape)
        codec = self._autoencoder
        video_13NYX = codec.prepared(pictures.control, codec.pixels(shape))
        if pictures.first is not None:
            video_13NYX[:, :, 0] = 0.0
        return codec.encoded(video_13NYX)

    def _blank(self, shape: Sequence[int]) -> Tensor:
        """The latents (1, C, F, H, W) of a grey video."""
        sides = tuple(shape[1:])
        found = self._blanks.pop(sides, None)
        if found is None:
            width, height = self._autoencoder.pixels(shape)
            grey = torch.zeros(1, 3, self._autoencoder.frames_of(shape[1]), height, width)
            found = self._autoencoder.encoded(grey)
        self._blanks[sides] = found
        while len(self._blanks) > BLANKS_KEPT:
            del self._blanks[next(iter(self._blanks))]
        return found

    def _mask(self, pictures: ShotPictures, shape: Sequence[int]) -> Tensor:
        """1 where a frame is made anew, a channel for each pixel that a latent stands for (1, c, F, H, W).

        Of the frames that a latent stands for, the nearest to its middle counts.
        """
        codec = self._autoencoder
        anew_N = torch.ones(codec.frames_of(shape[1]))
        if pictures.first is not None:
            anew_N[0] = 0.0
        anew_F = interpolate(anew_N[None, None], size=shape[1], mode="nearest-exact")[0, 0]
        return anew_F.view(1, 1, -1, 1, 1).expand(1, codec.over_space**2, *shape[1:])

    def _references(self, pictures: Sequence[Frame], shape: Sequence[int]) -> Tensor:
        """The latents (1, C, R, H, W) of reference pictures; the first picture is next to the shot."""
        codec = self._autoencoder
        size = codec.pixels(shape)
        latents = [codec.encoded(self._on_white(picture, size)) for picture in reversed(pictures)]
        return torch.cat(latents, dim=2)

    def _on_white(self, picture: Frame, size: tuple[int, int]) -> Tensor:
        """A picture (1, 3, 1, Y, X) within -1 and 1, as large as fits in, in the middle of a white one."""
        codec = self._autoencoder
        found_13YX = codec.prepared_picture(Image.fromarray(picture))
        width, height = size
        scale = min(height / found_13YX.shape[2], width / found_13YX.shape[3])
        inside = [max(1, int(side * scale)) for side in found_13YX.shape[2:]]
        fitted = interpolate(found_13YX, size=inside, mode="bilinear", align_corners=False)
        white = torch.ones(1, 3, 1, height, width)
        top, left = (height - inside[0]) // 2, (width - inside[1]) // 2
        white[:, :, 0, top : top + inside[0], left : left + inside[1]] = fitted
        return white

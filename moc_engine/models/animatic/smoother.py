"""What the transformer makes of a shot's frames, made smooth.

A token stands for a few frames and is predicted by itself, so that its errors leap from one token to the
next, and what stands still trembles. This network looks at each slot through a second or two at once.
"""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from moc_engine.models.animatic.marks import INPUTS, with_marks
from moc_engine.models.animatic.scene import CHANNELS

_SPAN = 5
"""Frames that one convolution sees."""

_STRIDES = (1, 2)
"""How far apart they are, for each: thirteen frames in all."""


class Smoother(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A residual convolution network over time, the same for all slots; untrained it changes nothing."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.near = nn.Conv2d(INPUTS, width, (_SPAN, 1))
        self.far = nn.Conv2d(width, width, (_SPAN, 1), dilation=(_STRIDES[1], 1))
        self.out = nn.Conv2d(width, CHANNELS, 1)
        for weight in self.out.parameters():
            nn.init.zeros_(weight)

    def forward(self, latents_BCFSW: Tensor) -> Tensor:
        """Latents (B, CHANNELS, F, SLOTS, 1) to such, in float32; the first and last frames last on."""
        hidden = with_marks(latents_BCFSW)[..., 0]
        for layer, stride in zip((self.near, self.far), _STRIDES, strict=True):
            reach = stride * (_SPAN // 2)
            hidden = silu(layer(pad(hidden, (0, 0, reach, reach), mode="replicate")))
        change: Tensor = self.out(hidden)[..., None]
        return latents_BCFSW.float() + change.float()

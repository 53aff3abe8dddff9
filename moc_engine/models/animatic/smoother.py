"""A network that smooths the transformer's prediction over time.

Each token covers a few frames and has its own prediction error, which changes abruptly from token to token
and makes motionless objects jitter. The smoother sees one to two seconds of a slot at once.
"""

from __future__ import annotations

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from moc_engine.models.animatic.marks import INPUTS, with_marks
from moc_engine.models.animatic.scene import CHANNELS

_KERNEL_SIZE = 5
"""The kernel size of the convolutions, in frames."""

_DILATIONS = (1, 2)
"""The dilation of each convolution; together they see thirteen frames."""


class Smoother(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A residual convolution network over time, shared by all slots; the identity if untrained."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.near = nn.Conv2d(INPUTS, width, (_KERNEL_SIZE, 1))
        self.far = nn.Conv2d(width, width, (_KERNEL_SIZE, 1), dilation=(_DILATIONS[1], 1))
        self.out = nn.Conv2d(width, CHANNELS, 1)
        for weight in self.out.parameters():
            nn.init.zeros_(weight)

    def forward(self, latents_BCFSW: Tensor) -> Tensor:
        """Smooths latents (B, CHANNELS, F, SLOTS, 1) in float32; padding repeats the outer frames."""
        hidden = with_marks(latents_BCFSW)[..., 0]
        for layer, stride in zip((self.near, self.far), _DILATIONS, strict=True):
            reach = stride * (_KERNEL_SIZE // 2)
            hidden = silu(layer(pad(hidden, (0, 0, reach, reach), mode="replicate")))
        change: Tensor = self.out(hidden)[..., None]
        return latents_BCFSW.float() + change.float()

"""What turns footage into what a model is trained on: its encoders. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from moc_engine.models.caption_limit import LeftOut

if TYPE_CHECKING:
    from torch import Tensor

    from moc_engine.clip import Frame


class FootageEncoders(Protocol):
    """The autoencoder and the text encoder of a model, each loaded when it is needed.

    Identities are digests of weights. Raises `ModelNotFound` and `ModelMismatch` as loading does.
    """

    @property
    def latent_space(self) -> str:
        """The name of the latents' space, as that of the model's backbone."""

    @property
    def autoencoder_identity(self) -> str:
        """Of what encodes frames."""

    @property
    def text_encoder_identity(self) -> str:
        """Of the text encoder and its tokenizer."""

    @property
    def text_dtype(self) -> str:
        """The dtype that captions are encoded in."""

    def latents(self, frames: Sequence[Frame]) -> Tensor:
        """The latents (C, F, H, W) of frames of one size, in float32 in main memory, on the denoiser's scale.

        There are as many frames as latent ones stand for, and their sides are multiples of a token's.
        """

    def states(self, caption: str) -> Tensor:
        """The states (T, D) of one caption in main memory, without padding."""

    def left_out(self, global_caption: str, caption: str) -> LeftOut:
        """How much of the two captions together a model does not read."""

    def ended_by(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Within the context `check` is called often while frames are encoded; what it raises ends that."""

    def release_text_encoder(self) -> None:
        """Frees the memory of the text encoder until it is needed again."""

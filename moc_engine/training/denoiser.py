"""The model during training: whole stories in one call, each shot a row of the batch.

Shapes: B stories, N shots, F latent frames, S slots, C channels, W words, E width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from moc_engine.models.animatic.marks import with_marks
from moc_engine.models.animatic.model import encode_words
from moc_engine.models.animatic.scene import PATCH_FRAMES, SLOTS
from moc_engine.models.base import CaptionStates
from moc_engine.models.wan_transformer import attending
from moc_engine.ops.routers.router import LearnedRouter
from moc_engine.training.attention import differentiable_attention
from moc_engine.training.data.stories import StoryBatch
from moc_engine.training.story_attention import StoryAttention, story_angles
from moc_engine.training.story_rules import StoryRules


class StoryDenoiser(nn.Module):
    """Predicts the clean latents of noisy shots, which attend to clean copies of earlier shots."""

    def __init__(
        self, transformer: Any, smoother: Any, text_encoder: Any, router: LearnedRouter | None = None
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.smoother = smoother
        self.text_encoder = text_encoder
        self.router = router

    def forward(
        self,
        batch: StoryBatch,
        *,
        clean: Tensor,
        noisy: Tensor,
        clean_level: Tensor,
        noise_level: Tensor,
        without_caption: Tensor,
        starts: Tensor,
        rules: StoryRules,
    ) -> Tensor:
        """The predicted clean latents (B, N, F, S, C) of `noisy`, which is at `noise_level` (B, N).

        `clean` are the copies that become memories, at `clean_level`: all shots but the last. Shots marked in
        `without_caption` (B, N) are denoised without captions. `starts` (N) is the token frame at which each
        shot begins.
        """
        model = self.transformer
        level = torch.cat((clean_level.flatten(), noise_level.flatten()))
        angles = story_angles(model, starts=starts, frames=noisy.shape[2] // PATCH_FRAMES, height=SLOTS)
        rows = clean_level.numel()
        with differentiable_attention(noisy.device):
            time, modulation, words, mask = self._condition(batch, level, without_caption)
            attention = StoryAttention(
                slots=SLOTS, rules=rules, angles=angles, learned=self.router, time_RE=time[rows:]
            )
            captions = CaptionStates(states_BSE=words, mask_BS=mask)
            hidden = embed(model, torch.cat((clean.flatten(0, 1), noisy.flatten(0, 1))))
            with attending(model, attention, captions):
                for block in model.blocks:
                    hidden = block(hidden, words, modulation, None)
        return smoothed(self.smoother, unembed(model, hidden[rows:], time[rows:])).view_as(noisy)

    def _condition(
        self, batch: StoryBatch, level: Tensor, without_caption: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Time and modulation of all rows, and their caption states with mask: global, then own caption."""
        stories, shots = without_caption.shape
        story_states, story_mask = encode_words(self.text_encoder, batch.story_words)
        shot_states, shot_mask = encode_words(self.text_encoder, batch.shot_words)
        flat = torch.cat((story_states.flatten(0, 1), shot_states.flatten(0, 1)))
        time, modulation, words, _ = self.transformer.condition_embedder(level * 1000.0, flat[None], None)
        split = story_mask.numel()
        story_words = words[0, :split].unflatten(0, story_mask.shape)
        shot_words = words[0, split:].unflatten(0, shot_mask.shape)

        shot_row = torch.arange(stories * shots, device=without_caption.device).view(stories, shots)
        story_row = torch.arange(stories, device=without_caption.device)[:, None].expand(-1, shots)
        story_row = _copies(story_row, story_row.masked_fill(without_caption, stories))
        shot_row = _copies(shot_row, shot_row.masked_fill(without_caption, stories * shots))
        return (
            time,
            modulation.unflatten(1, (6, -1)),
            torch.cat((story_words[story_row], shot_words[shot_row]), dim=1),
            torch.cat((story_mask[story_row], shot_mask[shot_row]), dim=1),
        )


def _copies(clean_BN: Tensor, noisy_BN: Tensor) -> Tensor:
    """Row numbers of the clean copies (the last shot has none), then of the noisy ones."""
    return torch.cat((clean_BN[:, :-1].flatten(), noisy_BN.flatten()))


def embed(transformer: Any, latents_RFSC: Tensor) -> Tensor:
    """Tokens (R, L, E), frame by frame, of latents with their slot markers."""
    hidden = transformer.patch_embedding(with_marks(latents_RFSC.permute(0, 3, 1, 2)[..., None]))
    tokens: Tensor = hidden.flatten(2).transpose(1, 2).contiguous()
    return tokens


def unembed(transformer: Any, hidden_RLE: Tensor, time_RE: Tensor) -> Tensor:
    """Latents (R, F, S, C) in float32 from the last tokens, as by the transformer's own output head."""
    with torch.autocast(hidden_RLE.device.type, enabled=False):  # bfloat16 would lose small motions
        shift, scale = (transformer.scale_shift_table + time_RE[:, None].float()).chunk(2, dim=1)
        out = transformer.proj_out(transformer.norm_out(hidden_RLE.float()) * (1 + scale) + shift)
    patches = out.unflatten(1, (-1, SLOTS)).unflatten(3, (PATCH_FRAMES, -1))
    latents: Tensor = patches.permute(0, 1, 3, 2, 4).flatten(1, 2)
    return latents


def smoothed(smoother: Any, latents_RFSC: Tensor) -> Tensor:
    """Latents (R, F, S, C) after the smoother."""
    latents: Tensor = smoother(latents_RFSC.permute(0, 3, 1, 2)[..., None])
    return latents[..., 0].permute(0, 2, 3, 1)

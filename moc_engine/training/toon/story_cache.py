"""Drawn stories as a cache of footage: latents by the toon model's autoencoder, states by its text encoder.

Shapes: N shots, F frames, A characters that a shot can show, Z latent channels, H and W latent sides, T text
states, D their width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.caption_room import cleaned
from moc_engine.models.wan.decoding import normalised
from moc_engine.training.data.footage.cache_index import CacheIdentity
from moc_engine.training.data.footage.dataset import CacheWriter, TrainingShot, TrainingStory
from moc_engine.training.toon.autoencoder_training import as_tensor
from moc_engine.training.toon.drawn_stories import DrawnStory, Floats, Pixels, read_drawn, story_file
from moc_engine.training.toon.picture_autoencoder import encode, frame_by_frame

PICTURES_AT_ONCE: Final = 128


@torch.no_grad()
def latents_of(vae: Any, pictures_NFYX3: Pixels) -> Tensor:
    """The latents (N, Z, F, H, W) of the shots of a story, on the transformer's scale."""
    shots = pictures_NFYX3.shape[:2]
    pictures = as_tensor(pictures_NFYX3.reshape(-1, *pictures_NFYX3.shape[2:]), vae.device)
    with frame_by_frame(vae):
        latents = torch.cat([encode(vae, part) for part in pictures.split(PICTURES_AT_ONCE)])
    by_channel_NZFHW = latents.unflatten(0, shots).transpose(1, 2)
    return torch.stack([normalised(vae, shot_ZFHW) for shot_ZFHW in by_channel_NZFHW])


@torch.no_grad()
def states_of(tokenizer: Any, text_encoder: Any, captions: Sequence[str]) -> list[Tensor]:
    """The states (T, D) of each caption, without padding, as a Wan model reads it."""
    read = tokenizer([cleaned(caption) for caption in captions], padding=True, return_tensors="pt")
    read = read.to(text_encoder.device)
    states = text_encoder(read.input_ids, read.attention_mask).last_hidden_state
    return [row[:length] for row, length in zip(states, read.attention_mask.sum(dim=1).tolist(), strict=True)]


def covered(boxes_NAF4: Floats, height: int, width: int) -> Tensor:
    """The share (N, F, H, W) of each latent's area that the box of a character covers, the largest of all."""
    left, top, right, bottom = (boxes_NAF4[..., side, None] for side in range(4))
    across = _overlap(left, right, width)
    down = _overlap(top, bottom, height)
    return torch.from_numpy((down[..., :, None] * across[..., None, :]).max(axis=1))


def identities(drawn: DrawnStory, height: int, width: int) -> Tensor:
    """Who covers most of each latent (N, F, H, W), as the member's number from 1 on; 0 for less than half."""
    shots, _, frames, _ = drawn.boxes.shape
    labels = torch.zeros(shots, frames, height, width, dtype=torch.uint8)
    for shot, shown in enumerate(drawn.shown):
        most = torch.full(labels.shape[1:], 0.5)
        for one in shown:
            area = covered(drawn.boxes[shot : shot + 1, one.slot : one.slot + 1], height, width)[0]
            labels[shot].masked_fill_(area > most, one.cast + 1)
            most = torch.maximum(most, area)
    return labels


def _overlap(start: Floats, end: Floats, parts: int) -> Floats:
    """The share of each of so many equal parts of 0–1 that lies between start and end."""
    first = np.arange(parts, dtype=np.float32)
    found: Floats = np.clip(np.minimum(end * parts, first + 1) - np.maximum(start * parts, first), 0.0, 1.0)
    return found


def training_story(
    name: str, drawn: DrawnStory, latents: Tensor, states: Sequence[Tensor], fps: float
) -> TrainingStory:
    """A drawn story as the trainer reads it, with an emphasis on the characters, and who is where."""
    places = covered(drawn.boxes, *latents.shape[-2:])
    who = identities(drawn, *latents.shape[-2:])
    return TrainingStory(
        name=name,
        style_states=None,
        shots=tuple(
            TrainingShot(
                latents=shot,
                states=state,
                caption=caption,
                seconds=shot.shape[1] / fps,
                emphasis=emphasis.contiguous(),
                identities=labels.contiguous(),
            )
            for shot, state, caption, emphasis, labels in zip(
                latents, states, drawn.captions, places, who, strict=True
            )
        ),
    )


def cache_stories(
    folder: Path,
    drawn: Path,
    numbers: Sequence[int],
    parts: dict[str, Any],
    *,
    text_encoder: str,
    fps: float,
    prefix: str = "",
) -> Iterator[int]:
    """Adds drawn stories to the cache in `folder` and yields the number of each; those in it are kept.

    Their names are their numbers behind `prefix`. `parts` are the model's vae, text_encoder and tokenizer;
    `text_encoder` is a digest of the latter two.
    """
    vae = parts["vae"].eval()
    (nothing,) = states_of(parts["tokenizer"], parts["text_encoder"], [""])
    identity = CacheIdentity(
        latent_space=WanAutoencoder(vae, fps).latent_space, text_encoder=text_encoder, model="toon", rate=fps
    )
    with CacheWriter(folder, identity, nothing) as cache:
        for number in numbers:
            name = f"{prefix}{number:06d}"
            if name not in cache.stories:
                story = read_drawn(story_file(drawn, number))
                latents = latents_of(vae, story.pictures)
                states = states_of(parts["tokenizer"], parts["text_encoder"], story.captions)
                cache.add(training_story(name, story, latents, states, fps))
            yield number

"""Batches of cached stories: latents and caption states side by side, as the denoiser reads them.

Shapes: B stories, N shots, C channels, F latent frames, H and W latent sides, S text states, E width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import pad

from moc_engine.training.data.footage.dataset import TrainingShot, TrainingStory

LEAST_STATES: Final = 2
"""States without which a global caption is left out: one token, and its end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningBatch:
    """Stories with equally many shots of one size.

    `latents` (B, N, C, F, H, W) are zero behind the end of a shot, which has `frames` [B][N] latent frames.
    `states` (B, N, S, E) are those of the global caption and of the shot's own, `empty_states` (S, E) those
    of the empty caption, with zeros behind them; `mask` (B, N, S) and `empty_mask` (S) say which count
    (None: all, for models that were trained on captions padded with zeros). `emphasis` (B, N, F, H, W) is 0
    for shots without one; None: no shot has one. `identities` (B, N, F, H, W) are labels in the same way.
    """

    latents: Tensor
    frames: tuple[tuple[int, ...], ...]
    states: Tensor
    empty_states: Tensor
    mask: Tensor | None = None
    empty_mask: Tensor | None = None
    emphasis: Tensor | None = None
    identities: Tensor | None = None

    @property
    def shots(self) -> int:
        return self.latents.shape[1]

    def to(self, device: torch.device) -> TuningBatch:
        tensors: dict[str, Any] = {
            name: x.to(device, non_blocking=True) for name, x in vars(self).items() if torch.is_tensor(x)
        }
        return replace(self, **tensors)


def window(story: TrainingStory, first: int, shots: int) -> TrainingStory:
    """So many consecutive shots of a story, from `first` on."""
    return replace(story, shots=story.shots[first : first + shots])


def collate(
    stories: Sequence[TrainingStory], unconditional: Tensor, *, caption_states: int | None
) -> TuningBatch:
    """One batch of stories; `unconditional` (T, E) are the states of the empty caption.

    Captions are padded to `caption_states`, as a render of the family has them, and the end of the global one
    gives way; None pads to the longest of the batch with states that do not count. Raises `ValueError` for
    stories of different numbers of shots or sizes.
    """
    counts = sorted({len(story.shots) for story in stories})
    if len(counts) != 1:
        raise ValueError(f"stories: must have equally many shots, got {counts}")
    shots = [shot for story in stories for shot in story.shots]
    sides = sorted({(len(shot.latents), *shot.latents.shape[2:]) for shot in shots})
    if len(sides) != 1:
        raise ValueError(f"stories: must be of one size (C, H, W), got {sides}")
    captions = [_caption(story, shot, caption_states) for story in stories for shot in story.shots]
    captions = [unconditional if not len(caption) else caption for caption in captions]
    room = caption_states or max(map(len, (*captions, unconditional)))
    states, empty = torch.stack([_padded(x, room) for x in captions]), _padded(unconditional, room)
    by_story = (len(stories), counts[0])
    lengths = torch.tensor([len(caption) for caption in captions])
    counted = torch.arange(room) < lengths[:, None]
    longest = max(shot.latents.shape[1] for shot in shots)
    latents = [pad(shot.latents.float(), (0, 0, 0, 0, 0, longest - shot.latents.shape[1])) for shot in shots]
    return TuningBatch(
        latents=torch.stack(latents).unflatten(0, by_story),
        frames=tuple(tuple(shot.latents.shape[1] for shot in story.shots) for story in stories),
        states=states.unflatten(0, by_story),
        empty_states=empty,
        mask=None if caption_states else counted.unflatten(0, by_story),
        empty_mask=None if caption_states else torch.arange(room) < len(unconditional),
        emphasis=_places(shots, [shot.emphasis for shot in shots], by_story, longest, torch.float32),
        identities=_places(shots, [shot.identities for shot in shots], by_story, longest, torch.int64),
    )


def _places(
    shots: Sequence[TrainingShot],
    given: Sequence[Tensor | None],
    by_story: tuple[int, int],
    longest: int,
    dtype: torch.dtype,
) -> Tensor | None:
    """What is given of places (F, H, W) as (B, N, F, H, W), 0 behind the end of a shot and for those without;
    None where no shot has any.
    """
    if all(one is None for one in given):
        return None
    padded = [
        pad(
            (torch.zeros(()) if one is None else one).to(dtype).expand(shot.latents.shape[1:]),
            (0, 0, 0, 0, 0, longest - shot.latents.shape[1]),
        )
        for one, shot in zip(given, shots, strict=True)
    ]
    stacked: Tensor = torch.stack(padded).unflatten(0, by_story)
    return stacked


def _caption(story: TrainingStory, shot: TrainingShot, room: int | None) -> Tensor:
    """The states of the global caption and of the shot's own, within the room if there is a limit.

    Beside a global caption an empty one has no states, though by itself it has.
    """
    style, own = story.style_states, shot.states
    if style is not None and not shot.caption.strip():
        own = own[:0]
    if room is not None:
        own = own[:room]
        left = room - len(own)
        style = None if style is None or left < LEAST_STATES else style[:left]
    return own if style is None else torch.cat((style.to(own), own))


def _padded(states_TE: Tensor, room: int) -> Tensor:
    return pad(states_TE[:room].float(), (0, 0, 0, room - min(room, len(states_TE))))

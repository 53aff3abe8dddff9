"""What a cache for a model is known by, from the model's own encoders; and whether a cache is a model's."""

from __future__ import annotations

import torch

from moc_engine.errors import FootageError, ModelMismatch
from moc_engine.machine import best_device, memory_bytes
from moc_engine.models.footage_encoders import FootageEncoders
from moc_engine.models.registry import family_entry
from moc_engine.profiles import profile_named
from moc_engine.sources.parts import PipelineParts
from moc_engine.training.data.footage.cache_index import CacheIdentity
from moc_engine.training.data.footage.dataset import CachedFootage


def encoders_of(parts: PipelineParts, device: str | None = None, profile: str = "auto") -> FootageEncoders:
    """The encoders of a model. Raises `ModelMismatch` for one of a family that has none to offer."""
    place = torch.device(device or best_device())
    chosen = profile_named(profile, place.type, memory_bytes(str(place)))
    entry = family_entry(parts.pipeline_class)
    if entry.encoders is None:
        raise ModelMismatch(f"{parts.source} cannot be trained on footage: it is a {parts.pipeline_class}")
    return entry.encoders(parts, place, chosen)


def identity_of(encoders: FootageEncoders, model: str, rate: float) -> CacheIdentity:
    """What a cache by these encoders is known by."""
    return CacheIdentity(
        latent_space=encoders.latent_space,
        text_encoder=encoders.text_encoder_identity,
        model=model,
        rate=rate,
    )


def check_cache(footage: CachedFootage, model: PipelineParts) -> None:
    """Raises `FootageError` for a cache whose latents or caption states are not those of the model.

    Loads the model's autoencoder, and reads the files of its text encoder where they were not read before.
    """
    own = identity_of(encoders_of(model, "cpu"), model.name, footage.identity.rate)
    different = own.difference(footage.identity)
    if different is not None:
        raise FootageError(f"{footage.folder} is a cache for another model: {different}; cache it again")

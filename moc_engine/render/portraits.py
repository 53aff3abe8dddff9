"""Portraits of the cast in a take by the model's own features, to tell whether two takes look alike.

A portrait is the mean of the features of a take's tokens, weighted by their attention to a name in the
caption. Which layer and noise level distinguish looks best is measured on stories with known looks by
`moc-studio eval identity`.

Shapes: C channels, F latent frames, H and W latent sides, L tokens, E width of the features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torch import Tensor

from moc_engine.models.backbone import Backbone
from moc_engine.models.base import FindsNames
from moc_engine.render.features import Kind, features


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """Which features portraits are made of: the layer (from 0), the noise level (0–1), and the kind."""

    layer: int
    noise: float
    kind: Kind


DEPTH: Final = 0.5
"""The depth of the layer as a share of all layers: layer 3 of 0–5 in the embedded model."""

NOISE: Final = 0.0
KIND: Final[Kind] = "value"

SHARPENED: Final = 4
"""The power of the attention to a name that weights tokens: the best of 1, 2, 4, 6, 8 in 20 stories."""

ANOTHER_LOOK: Final = 0.186
"""The cosine distance of portraits from which looks count as different: the best for the embedded model."""

VISIBLE: Final = (2 * ANOTHER_LOOK) ** 0.5
"""The same as a Euclidean distance between vectors of length 1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Portrait:
    """The portrait of a cast member: `vector` (E,) of length 1, and the `weights` (L,) of the take's tokens,
    frame by frame, which sum to 1.
    """

    name: str
    vector: Tensor
    weights: Tensor


def default_feature_source(backbone: Backbone) -> FeatureSource:
    """Attention values at half depth, without noise: the best for the embedded model.

    Values carry appearance, keys what tokens are matched by. `moc-studio eval identity` measures this for
    animatic models; its figures are in `evaluation/RESULTS.md`. Other families have not been measured.
    """
    layers = backbone.adapter.layers
    return FeatureSource(layer=min(layers - 1, int(DEPTH * layers)), noise=NOISE, kind=KIND)


def portraits(
    backbone: Backbone,
    latents_CFHW: Tensor,
    *,
    global_caption: str,
    caption: str,
    cast: Sequence[str],
    source: FeatureSource | None = None,
) -> tuple[Portrait, ...]:
    """A portrait of each cast member that the caption names and some token attends to, in cast order.

    Raises `ValueError` for a layer that the model does not have.
    """
    family = backbone.family
    names = family.mentions(global_caption, caption, cast) if isinstance(family, FindsNames) else {}
    if not names:
        return ()
    backbone = backbone.at(0.0).split_by(None)
    source = default_feature_source(backbone) if source is None else source
    where = (source.layer, source.kind)
    captions = family.captions(global_caption, caption, cast)
    found = features(backbone, latents_CFHW, captions, noise=source.noise, wanted=(where,), names=names)
    if where not in found.tokens:
        raise ValueError(f"layer: the model has no layer {source.layer}")
    made = []
    for name, attention in found.named.items():
        if not 0.0 < float(attention.max()) < math.inf:  # NaN too
            continue
        weights = sharpened(attention)
        vector = pooled(found.tokens[where], weights)
        length = float(vector.norm())
        made.append(Portrait(name=name, vector=vector / (length or 1.0), weights=weights))
    return tuple(made)


def sharpened(attention_L: Tensor) -> Tensor:
    """Weights (L,) that sum to 1, of tokens that attend to a name."""
    weights = (attention_L / attention_L.max()) ** SHARPENED
    return weights / weights.sum()


def pooled(features_LE: Tensor, mask_L: Tensor) -> Tensor:
    """The mean (E,) of the masked tokens; `mask_L` may be bool or weights, such as attention to a name.

    Raises `ValueError` where no token counts.
    """
    weights = mask_L.to(features_LE)
    if not float(weights.sum()) > 0.0:
        raise ValueError("mask_L: no token counts")
    return (weights @ features_LE) / weights.sum()

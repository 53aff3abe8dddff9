"""VBench's dimensions of single clips: the model of each, where its weights lie, and their licence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """A dimension by VBench's name for it.

    `files` are the paths in VBench's cache without which VBench would load them from the network. `scale` is
    what VBench's score of a clip is multiplied by to lie within 0–1. `per_frame` says whether VBench's mean
    over clips counts each clip by its number of compared frames.
    """

    name: str
    model: str
    licence: str
    files: tuple[str, ...] = ()
    scale: float = 1.0
    per_frame: bool = False

    def missing(self, cache: Path) -> tuple[str, ...]:
        """Those of `files` that are not in a cache."""
        return tuple(file for file in self.files if not (cache / file).is_file())


DINO_WEIGHTS: Final = "dino_model/dino_vitbase16_pretrain.pth"
FLICKERING: Final = "temporal_flickering"

NOT_VERIFIED: Final = "not verified"
"""Of licences that a project states for its code, and that nobody has looked up for the weights."""

DIMENSIONS: Final = (
    Dimension(
        name="subject_consistency",
        model="DINO ViT-B/16",
        licence=f"Apache-2.0, {NOT_VERIFIED}",
        files=(DINO_WEIGHTS, "dino_model/facebookresearch_dino_main/hubconf.py"),
        per_frame=True,
    ),
    Dimension(
        name="background_consistency",
        model="CLIP ViT-B/32",
        licence=f"MIT, {NOT_VERIFIED}",
        files=("clip_model/ViT-B-32.pt",),
        per_frame=True,
    ),
    Dimension(name=FLICKERING, model="none", licence="none"),
    Dimension(
        name="motion_smoothness",
        model="AMT-S",
        licence="CC BY-NC 4.0, not for commercial use",
        files=("amt_model/amt-s.pth",),
    ),
    Dimension(
        name="dynamic_degree",
        model="RAFT",
        licence="BSD-3-Clause",
        files=("raft_model/models/raft-things.pth",),
    ),
    Dimension(
        name="aesthetic_quality",
        model="CLIP ViT-L/14 with LAION's head",
        licence=f"MIT, {NOT_VERIFIED}",
        files=("clip_model/ViT-L-14.pt", "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth"),
    ),
    Dimension(
        name="imaging_quality",
        model="MUSIQ trained on SPAQ",
        licence="CC BY-NC-SA 4.0, not for commercial use",
        files=("pyiqa_model/musiq_spaq_ckpt-358bb6af.pth",),
        scale=0.01,
    ),
)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where VBench keeps weights: $VBENCH_CACHE_DIR, or ~/.cache/vbench."""
    given = environment.get("VBENCH_CACHE_DIR")
    return Path(given) if given else Path.home() / ".cache" / "vbench"

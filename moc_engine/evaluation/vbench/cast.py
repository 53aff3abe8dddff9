"""Whether the cast looks the same from shot to shot: the portraits of each member, compared across cuts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from moc_engine.evaluation.vbench.definitions import Floats, similarities


def cast_consistency(portraits: Sequence[Mapping[str, Floats]]) -> float | None:
    """The mean similarity of appearances to the one before and to the first of the same cast member.

    `portraits` has of each shot the portrait (E,) of each member that is told from its caption. None where no
    member appears twice. Only portraits of one model can be compared.
    """
    found: dict[str, list[Floats]] = defaultdict(list)
    for shot in portraits:
        for name, vector in shot.items():
            found[name].append(vector)
    values = [
        value for vectors in found.values() if len(vectors) > 1 for value in similarities(np.stack(vectors))
    ]
    return float(np.mean(values)) if values else None

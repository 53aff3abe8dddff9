"""What the configurations of a model's parts say, read before any weights. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from moc_engine.config import Scheduler
from moc_engine.sources.parts import PipelineParts

SCHEDULER_NAMES: Final[Mapping[str, Scheduler]] = {
    "FlowMatchEulerDiscreteScheduler": "euler",
    "UniPCMultistepScheduler": "unipc",
    "DPMSolverMultistepScheduler": "dpm++",
}
"""What the engine calls the schedulers that pipelines ship."""


def part_config(model: PipelineParts, part: str) -> Mapping[str, Any]:
    """The config of a part: that of a scheduler has a name of its own."""
    folder = model.part(part).config_folder
    file = folder / ("scheduler_config.json" if part == "scheduler" else "config.json")
    config = json.loads(file.read_bytes())
    return config if isinstance(config, dict) else {}

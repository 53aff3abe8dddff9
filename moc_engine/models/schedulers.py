"""Schedulers from diffusers: a model's own, and those that a person may choose."""

from __future__ import annotations

from typing import Any, Final

from moc_engine.config import SamplerConfig, Scheduler
from moc_engine.errors import ModelMismatch
from moc_engine.sources.parts import PipelineParts

CLASSES: Final[dict[Scheduler, str]] = {
    "euler": "FlowMatchEulerDiscreteScheduler",
    "unipc": "UniPCMultistepScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
}
"""The classes of diffusers, by name: importing them takes a while, and the embedded model does without."""

FLOW: Final = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
"""What makes a scheduler of noise predictions one of the flow."""


def flow_shift(scheduler: Any) -> float:
    """The shift of a scheduler's noise levels towards the noisy end; 1 is none."""
    config = scheduler.config
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def chosen_scheduler(own: Any, sampler: SamplerConfig) -> Any:
    """The model's own scheduler, or the one that the sampler names, with its shift; `own` stays as it is."""
    if sampler.scheduler is None and sampler.shift is None:
        return own
    import diffusers

    kind = type(own) if sampler.scheduler is None else getattr(diffusers, CLASSES[sampler.scheduler])
    euler = issubclass(kind, diffusers.FlowMatchEulerDiscreteScheduler)
    shift = flow_shift(own) if sampler.shift is None else sampler.shift
    named = {"shift": shift} if euler else {"flow_shift": shift}
    if isinstance(own, kind):
        return kind.from_config(own.config, **named)
    trained = {"num_train_timesteps": own.config.num_train_timesteps}
    return kind(**trained, **named, **({} if euler else FLOW))


def scheduler_class(model: PipelineParts) -> Any:
    """The class of the scheduler that a pipeline names. Raises `ModelMismatch` where diffusers has none."""
    import diffusers

    kind = getattr(diffusers, str(model.class_of("scheduler")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise ModelMismatch(f"{model.source}: there is no scheduler {model.class_of('scheduler')}")
    return kind

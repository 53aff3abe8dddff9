"""What a run leaves for the studio: the LoRA or the model's folder, each with a card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from moc_engine.files import write_text
from moc_engine.model_library import licence_of
from moc_engine.models.lora_checks import PREFIX
from moc_engine.training.card import table
from moc_engine.training.checkpoint import Checkpoint
from moc_engine.training.tuning.lora_factors import save_lora
from moc_engine.training.tuning.plan import TuningPlan
from moc_engine.training.tuning.recipe import Expert, TuningRecipe
from moc_engine.training.tuning.tuned_model import save_model

if TYPE_CHECKING:
    from moc_engine.training.tuning.subject import TuningSubject


def result_path(out: Path, recipe: TuningRecipe) -> Path:
    """Where the result of a run lies: the LoRA's file, or the model's folder."""
    return out / "lora" / lora_name(out, recipe.expert) if recipe.kind == "lora" else out / "model"


def lora_name(out: Path, expert: Expert) -> str:
    """The name of the LoRA's file, by which the studio also tells which of two experts it is for."""
    name = out.resolve().name or "tuned"
    return f"{name}-{expert}.safetensors" if expert else f"{name}.safetensors"


def write_results(
    out: Path, plan: TuningPlan, subject: TuningSubject, state: Checkpoint, weights: Sequence[Tensor]
) -> None:
    """Writes the averaged `weights` of a run after a step. Raises `OSError`."""
    trained = dict(zip(subject.trained, weights, strict=True))
    path = result_path(out, plan.recipe)
    try:
        _write_weights(path, plan, subject, trained)
    except SafetensorError as error:
        raise OSError(f"{path}: {error}") from error
    folder = path.parent if plan.recipe.kind == "lora" else path
    write_text(folder / "README.md", card(plan, subject, state, path.name))


def _write_weights(
    path: Path, plan: TuningPlan, subject: TuningSubject, trained: Mapping[str, Tensor]
) -> None:
    dtype = torch.bfloat16 if plan.recipe.precision == "bf16" else torch.float32
    if plan.recipe.kind == "lora":
        factors = {f"{PREFIX}{name.replace('.default.', '.')}": weight for name, weight in trained.items()}
        save_lora(subject.transformer, path, weights=factors, dtype=dtype)
    else:
        save_model(subject.tuned, path, weights=trained, dtype=dtype)


def card(plan: TuningPlan, subject: TuningSubject, state: Checkpoint, name: str) -> str:
    """The card as Markdown: what it was trained on and how, its figures, and the licence of the base."""
    recipe, licence = plan.recipe, licence_of(subject.model)
    front = ["---", "library_name: diffusers", "pipeline_tag: text-to-video", f"base_model: {subject.name}"]
    front += [f"license: {licence}"] if licence else []
    front += ["tags: [lora]"] if recipe.kind == "lora" else []
    stories = subject.stories
    facts = {
        "base": f"`{subject.name}`, licence {licence or 'not stated'}",
        "weights of the base": f"`{subject.base_digest}`",
        "stories": f"{len(stories.entries)} with {sum(len(entry.shots) for entry in stories.entries)} shots, "
        f"and {len(stories.held_out)} held out",
        "cache": f"`{stories.digest}`",
        "preset": f"`{plan.preset}`",
        "steps": f"{state.step} of {recipe.steps}",
        "hours": f"{state.seconds / 3600:.2f}",
    }
    used = (
        "Choose the file as a LoRA in the project's settings, or `--lora` of `moc-studio render`."
        if recipe.kind == "lora"
        else "Choose the folder as the model in the project's settings, or `--model` of `moc-studio render`."
    )
    lines = [
        *front,
        "---",
        f"# {name}",
        "",
        "Tuned with Mixture of Contexts: each shot attends to chunks of the clean shots before it. " + used,
        "",
        "In training a shot chose among all frames of earlier shots. Renders remember some keyframes of each "
        "take unless the memory policy is `all`, and may recall less than is measured in training.",
        "",
        "## Training",
        "",
        *table(("what", "value"), facts.items()),
        "",
        "## Recipe",
        "",
        *table(("field", "value"), _recipe_rows(recipe).items()),
    ]
    figures = {
        name: f"{points[-1][1]:.4f} (step {points[-1][0]})" for name, points in state.history.recall.items()
    }
    if state.history.loss:
        recent = [loss for _, loss in state.history.loss[-50:]]
        figures = {f"loss of the last {len(recent)} steps": f"{sum(recent) / len(recent):.4f}", **figures}
    if figures:
        lines += ["", "## Figures", "", *table(("what", "value"), figures.items())]
        lines += ["", "`curve.png` and `history.json` of the run hold the curves."]
    return "\n".join(lines) + "\n"


def _recipe_rows(recipe: TuningRecipe) -> Mapping[str, str]:
    fields: dict[str, Any] = asdict(recipe)
    fields["stages"] = ", ".join(
        f"{'dense' if stage.top_k is None else f'k = {stage.top_k}'} until {stage.until:g}"
        for stage in recipe.stages
    )
    fields["targets"] = ", ".join(recipe.targets)
    fields["shots"] = "–".join(map(str, recipe.shots))
    return {name.replace("_", " "): str(value) for name, value in fields.items() if value not in (None, "")}

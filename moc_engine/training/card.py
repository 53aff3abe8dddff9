"""The model card of trained weights: how they were trained, and their figures."""

from __future__ import annotations

from collections.abc import Iterable

from moc_engine.training.curve import History
from moc_engine.training.recipes import Recipe


def write_card(
    plan: Recipe, *, step: int, seconds: float, processes: int, origin: str | None, history: History
) -> str:
    """The card as Markdown; recall is that of the last evaluation."""
    facts = {
        "recipe": f"`{plan.name}`",
        "seed": str(plan.seed),
        "steps": f"{step} of {plan.steps}",
        "hours": f"{seconds / 3600:.2f}",
        "processes": str(processes),
    }
    command = f"moc-studio train animatic --preset {plan.name} --steps {plan.steps}"
    command += "".join(f" --without {technique}" for technique in plan.without)
    if plan.without:
        facts["without"] = ", ".join(plan.without)
    if origin is not None:
        command += " --from ORIGIN"
        facts["started from"] = f"`{origin}`"
    lines = [
        "---",
        "library_name: diffusers",
        "pipeline_tag: text-to-video",
        "---",
        "# Animatic model",
        "",
        "A diffusion transformer over scene slots with its text encoder, trained on generated stories.",
        "",
        "## Training",
        "",
        *table(("what", "value"), facts.items()),
        "",
        f"    {command} --out DIR",
    ]
    if history.recall:
        evaluated = max(points[-1][0] for points in history.recall.values())
        means = {
            name.replace("_", " "): f"{points[-1][1]:.3f}"
            for name, points in history.recall.items()
            if points[-1][0] == evaluated
        }
        lines += [
            "",
            "## Figures",
            "",
            f"After {evaluated} steps, on {plan.evaluation_stories} held-out stories of "
            f"{plan.evaluation_shots} shots: {plan.evaluation_steps} denoising steps, no guidance.",
            "",
            *table(("what", "mean"), means.items()),
            "",
            "    moc-studio eval memory --model DIR/model",
            "    moc-studio eval following --model DIR/model",
        ]
    return "\n".join(lines) + "\n"


def table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> list[str]:
    """A table of two columns in Markdown, line by line."""
    return [f"| {one} | {other} |" for one, other in (head, ("---", "---"), *rows)]

"""The forms beside the player: film, cast and settings."""

from __future__ import annotations

from typing import Final

import gradio as gr

from moc_engine.config import policy_names, render_router_names
from studio.domain.model_names import EMBEDDED_NAME
from studio.service.setting_words import POLICIES, POSITIONS, ROUTERS, SCHEDULERS, STEP_CACHES, STORAGES
from studio.web.component import panel
from studio.web.form_fields import FormFields

SIZES: Final = ["640x360", "1280x720", "1920x1080", "720x1280", "1080x1080"]
_OWN: Final = "Empty: the model's default"


def forms(link: gr.HTML) -> None:
    """All forms, which are filled when `link` tells them to."""
    fields = FormFields()
    _film(fields)
    _cast(fields)
    _settings(fields)
    _model_options(fields)
    _memory(fields)
    _drafts(fields)
    fields.fill_when(link)


def _film(fields: FormFields) -> None:
    with gr.Accordion("Film", open=True, elem_classes="form"):
        fields.text("title", "Title", max_length=200)
        fields.text(
            "style",
            "Style",
            info="Added to the caption of every shot",
            placeholder="warm evening light",
            lines=2,
        )
        fields.field("size", gr.Dropdown(SIZES, label="Size", allow_custom_value=True, elem_id="form-size"))
        fields.text("fps", "Frames per second", max_length=20)
        fields.text("seed", "Seed", max_length=20)


def _cast(fields: FormFields) -> None:
    with gr.Accordion("Cast", open=True, elem_classes="form"):
        fields.text(
            "cast",
            "Name: look",
            info="One per line. Without a look, the first shot of the character decides it.",
            placeholder="Mira: a red round creature with a top hat\nOtto",
            lines=4,
            max_lines=10,
        )
        panel("forms/cast-pictures", elem_id="cast-pictures", hidden=True)


def _settings(fields: FormFields) -> None:
    with gr.Accordion("Settings", open=False, elem_classes="form"):
        fields.text(
            "model",
            "Model",
            placeholder=EMBEDDED_NAME,
            info="One of this machine, a folder, a file, or a name on the model hub",
            max_lines=1,
        )
        fields.text(
            "negative_prompt", "Negative prompt", info=f"What the pictures must not show. {_OWN}", lines=2
        )
        fields.field(
            "no_negative_prompt", gr.Checkbox(label="No negative prompt", elem_id="form-no_negative_prompt")
        )
        fields.number("steps", "Steps", f"Of finals and drafts. {_OWN}")
        fields.number(
            "guidance",
            "Guidance",
            f"How closely the pictures follow the captions, of finals and drafts; 1: none. {_OWN}",
        )
        fields.field(
            "rerender_threshold",
            gr.Slider(
                0,
                1,
                step=0.05,
                label="Re-render threshold",
                info="A shot is outdated when at least this share of what it depends on has changed; "
                "slightly outdated below that",
                elem_id="form-rerender_threshold",
            ),
        )
        fields.field(
            "looks",
            gr.Radio(
                [("in the first shot that names them", "first"), ("in every shot", "every")],
                label="Describe looks",
                elem_id="form-looks",
            ),
        )


def _model_options(fields: FormFields) -> None:
    """Settings of real models, some of which a model may not have: the page says which."""
    with gr.Accordion("Model options", open=False, elem_classes="form"):
        fields.choice("scheduler", "Scheduler", SCHEDULERS, "The solver that denoises")
        fields.number(
            "shift", "Flow shift", f"More than 1 spends more steps on the layout, fewer on detail. {_OWN}"
        )
        fields.number(
            "guidance_2",
            "Guidance at low noise",
            "Of the second transformer, which finishes the detail. Empty: as above",
        )
        fields.choice(
            "step_cache",
            "Step cache",
            STEP_CACHES,
            "Steps reuse what earlier ones computed: faster, less exact",
        )
        panel("forms/film-loras", elem_id="form-loras")


def _memory(fields: FormFields) -> None:
    """Settings of what a shot uses of earlier ones."""
    with gr.Accordion("Memory", open=False, elem_classes="form"):
        fields.choice(
            "router",
            "Router",
            {name: ROUTERS.get(name, name) for name in render_router_names()},
            "How the pieces of earlier shots are chosen",
        )
        fields.number(
            "top_k",
            "Chunks per token (top-k)",
            f"How many pieces of earlier shots each token attends to. {_OWN}",
        )
        fields.number(
            "full_below",
            "Full attention below N tokens",
            "A shot with fewer tokens, its own and its context's, attends to all of them. "
            f"{_OWN}; 0: never; auto: where that is faster",
        )
        policies = {name: POLICIES.get(name, name) for name in policy_names()}
        fields.choice("memory_policy", "Remembered of each shot", policies, "More needs more memory")
        fields.number(
            "keyframes",
            "Latent frames per shot",
            f"How many, where frames are picked; with Wan each is 4 frames of the film. {_OWN}",
        )
        fields.choice(
            "memory_storage",
            "Stored in",
            STORAGES,
            "How the remembered keys and values are kept",
        )
        fields.choice(
            "positions",
            "Time of earlier shots",
            POSITIONS,
            "Where earlier shots stand in time for a model trained on single shots",
        )
        fields.field(
            "context",
            gr.Radio(
                [("every earlier shot", "all"), ("earlier shots that are finished", "finished")],
                label="A shot sees",
                info="With several workers the second renders shots side by side, which then do not know "
                "each other's looks. A pinned shot is always waited for.",
                elem_id="form-context",
            ),
        )


def _drafts(fields: FormFields) -> None:
    """Settings of the takes that a fast model renders before the film's."""
    with gr.Accordion("Drafts", open=False, elem_classes="form"):
        fields.text(
            "draft_model",
            "Model of drafts",
            placeholder=EMBEDDED_NAME,
            info="A fast one, to try the story before the film's model renders it",
            max_lines=1,
        )
        panel("forms/film-guide", elem_id="form-guide")

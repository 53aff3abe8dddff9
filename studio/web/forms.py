"""The forms beside the player: film, cast and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import gradio as gr

from moc_engine.config import policy_names, render_router_names
from studio.domain.edits.cast import SetCast
from studio.domain.edits.film import SetSettings
from studio.domain.frame_rate import parse_rate
from studio.domain.model_names import EMBEDDED_NAME
from studio.domain.settings import parse_full_below
from studio.domain.storyboard import Storyboard, parse_size
from studio.service.setting_words import POLICIES, POSITIONS, ROUTERS, SCHEDULERS, STEP_CACHES, STORAGES
from studio.service.studio import Service
from studio.web.component import panel
from studio.web.form_fields import FormFields
from studio.web.form_values import cast_of, negative_prompt_of, number, text, whole

SIZES: Final = ["640x360", "1280x720", "1920x1080", "720x1280", "1080x1080"]
_OWN: Final = "Empty: the model's default"


def forms(service: Service, link: gr.HTML) -> None:
    """All forms, which show the project that `link` names."""
    fields = FormFields(service, link)
    _film(fields)
    _cast(fields)
    _settings(fields)
    _model_options(fields)
    _memory(fields)
    _drafts(fields)
    fields.follow_page()


def _film(fields: FormFields) -> None:
    with gr.Accordion("Film", open=True, elem_classes="form"):
        fields.film("title", gr.Textbox(label="Title", max_length=200, elem_id="form-title"), str)
        fields.film(
            "style",
            gr.Textbox(
                label="Style",
                info="Added to the caption of every shot",
                placeholder="warm evening light",
                lines=2,
                elem_id="form-style",
            ),
            str,
        )
        fields.film(
            "size",
            gr.Dropdown(SIZES, label="Size", allow_custom_value=True, elem_id="form-size"),
            parse_size,
        )
        fields.film(
            "fps",
            gr.Textbox(label="Frames per second", max_length=20, elem_id="form-fps"),
            lambda value: parse_rate(str(value).replace(",", ".")),
        )
        fields.film("seed", gr.Textbox(label="Seed", max_length=20, elem_id="form-seed"), whole("seed"))


def _cast(fields: FormFields) -> None:
    with gr.Accordion("Cast", open=True, elem_classes="form"):
        cast = gr.Textbox(
            label="Name: look",
            info="One per line. Without a look, the first shot of the character decides it.",
            placeholder="Mira: a red round creature with a top hat\nOtto",
            lines=4,
            max_lines=10,
            elem_id="form-cast",
        )
        fields.field("cast", cast, lambda board, value: SetCast(cast=cast_of(str(value or ""), board)))
        panel("forms/cast-pictures", elem_id="cast-pictures", hidden=True)


def _settings(fields: FormFields) -> None:
    with gr.Accordion("Settings", open=False, elem_classes="form"):
        fields.setting(
            "model",
            gr.Textbox(
                label="Model",
                placeholder=EMBEDDED_NAME,
                info="One of this machine, a folder, a file, or a name on the model hub",
                max_lines=1,
                elem_id="form-model",
            ),
            text,
        )
        fields.field(
            "negative_prompt",
            gr.Textbox(
                label="Negative prompt",
                info=f"What the pictures must not show. {_OWN}",
                lines=2,
                elem_id="form-negative_prompt",
            ),
            lambda board, value: _with_negative_prompt(board, negative_prompt_of(value, board)),
        )
        fields.field(
            "no_negative_prompt",
            gr.Checkbox(label="No negative prompt", elem_id="form-no_negative_prompt"),
            lambda board, on: _with_negative_prompt(board, "" if on else None),
        )
        fields.setting(
            "steps",
            gr.Textbox(label="Steps", info=f"Of finals and drafts. {_OWN}", elem_id="form-steps"),
            whole("steps"),
        )
        fields.setting(
            "guidance",
            gr.Textbox(
                label="Guidance",
                info=f"How closely the pictures follow the captions, of finals and drafts; 1: none. {_OWN}",
                elem_id="form-guidance",
            ),
            number("guidance"),
        )
        fields.setting(
            "rerender_threshold",
            gr.Slider(
                0,
                1,
                step=0.05,
                label="Re-render threshold",
                info="A shot is outdated when at least this share of what it depends on has changed; "
                "slightly outdated below that",
            ),
            float,
        )
        fields.setting(
            "looks",
            gr.Radio(
                [("in the first shot that names them", "first"), ("in every shot", "every")],
                label="Describe looks",
            ),
            str,
        )


def _with_negative_prompt(board: Storyboard, words: str | None) -> SetSettings:
    return SetSettings(settings=replace(board.settings, negative_prompt=words))


def _model_options(fields: FormFields) -> None:
    """Settings of real models, some of which a model may not have: the page says which."""
    with gr.Accordion("Model options", open=False, elem_classes="form"):
        fields.choice("scheduler", "Scheduler", SCHEDULERS, "The solver that denoises")
        fields.setting(
            "shift",
            gr.Textbox(
                label="Flow shift",
                info=f"More than 1 spends more steps on the layout, fewer on detail. {_OWN}",
                elem_id="form-shift",
            ),
            number("shift"),
        )
        fields.setting(
            "guidance_2",
            gr.Textbox(
                label="Guidance at low noise",
                info="Of the second transformer, which finishes the detail. Empty: as above",
                elem_id="form-guidance_2",
            ),
            number("guidance_2"),
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
        fields.setting(
            "top_k",
            gr.Textbox(
                label="Chunks per token (top-k)",
                info=f"How many pieces of earlier shots each token attends to. {_OWN}",
            ),
            whole("chunks per token"),
        )
        fields.setting(
            "full_below",
            gr.Textbox(
                label="Full attention below N tokens",
                info="A shot with fewer tokens, its own and its context's, attends to all of them. "
                f"{_OWN}; 0: never; auto: where that is faster",
            ),
            lambda value: parse_full_below(str(value)),
        )
        policies = {name: POLICIES.get(name, name) for name in policy_names()}
        fields.choice("memory_policy", "Remembered of each shot", policies, "More needs more memory")
        fields.setting(
            "keyframes",
            gr.Textbox(
                label="Latent frames per shot",
                info=f"How many, where frames are picked; with Wan each is 4 frames of the film. {_OWN}",
                elem_id="form-keyframes",
            ),
            whole("frames per shot"),
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


def _drafts(fields: FormFields) -> None:
    """Settings of the takes that a fast model renders before the film's."""
    with gr.Accordion("Drafts", open=False, elem_classes="form"):
        fields.setting(
            "draft_model",
            gr.Textbox(
                label="Model of drafts",
                placeholder=EMBEDDED_NAME,
                info="A fast one, to try the story before the film's model renders it",
                max_lines=1,
                elem_id="form-draft_model",
            ),
            text,
        )
        panel("forms/film-guide", elem_id="form-guide")

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moc_engine.abilities import ABILITIES, LACKS, Ability, asked_abilities, check_abilities
from moc_engine.config import SamplerChoice
from moc_engine.contract import Control, Guide, Lora, RenderRequest
from moc_engine.errors import EngineError
from moc_engine.stored_file import LocalFile

PICTURE = LocalFile(Path("first.png"))
ASKED: dict[Ability, dict[str, Any]] = {
    "scheduler": {"sampler": SamplerChoice(shift=3.0)},
    "negative_prompt": {"negative_prompt": "blurred"},
    "two_experts": {"sampler": SamplerChoice(guidance_2=3.0)},
    "loras": {"loras": (Lora(source="look.safetensors"),)},
    "first_frame": {"first_frame": PICTURE},
    "guide": {"guide": Guide(clip=PICTURE, strength=0.5)},
    "control": {"control": Control(clip=PICTURE)},
    "references": {"references": (PICTURE,)},
    "step_cache": {"step_cache": "mag"},
}


def request(**fields: Any) -> RenderRequest:
    return RenderRequest(
        shot=0,
        caption="Mira",
        global_caption="",
        cast=(),
        seconds=1.0,
        fps=4.0,
        size=(96, 54),
        seed=0,
        output=Path("none"),
        **fields,
    )


@pytest.mark.parametrize("ability", ASKED)
def test_what_a_model_cannot_do_is_refused_in_words(ability: Ability) -> None:
    asked = request(**ASKED[ability])
    assert asked_abilities(asked) == (ability,)
    check_abilities(asked, {ability}, "model wan")
    with pytest.raises(EngineError, match=f"^the model wan {LACKS[ability]}$"):
        check_abilities(asked, frozenset(ABILITIES) - {ability}, "model wan")


def test_requests_ask_for_all_abilities_but_several_processes() -> None:
    assert set(ASKED) == set(ABILITIES) - {"processes"}
    assert set(LACKS) == set(ABILITIES)


def test_a_plain_request_asks_for_nothing_and_a_lora_for_one_expert_for_two() -> None:
    assert asked_abilities(request()) == ()
    lora = Lora(source="look.safetensors", expert="low")
    assert asked_abilities(request(loras=(lora,))) == ("two_experts", "loras")

from __future__ import annotations

import pytest

from studio.domain.model_names import model_name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (None, "animatic"),
        ("animatic@0123456789abcdef", "animatic"),
        ("wan@853f71c230d5c9b5", "wan"),
        (
            "Wan-AI/Wan2.1-T2V-1.3B-Diffusers@0fad780a534b6463e45facd96134c9f345acfa5b",
            "Wan2.1-T2V-1.3B-Diffusers",
        ),
        ("/models/unet/wan2.2_ti2v_5B_fp16.safetensors", "wan2.2_ti2v_5B_fp16"),
        ("/models/wan2.1-q4.GGUF", "wan2.1-q4"),
        (r"C:\models\my wan\\", "my wan"),
        ("my-entry", "my-entry"),
        ("@", "@"),
    ],
)
def test_a_model_is_called_by_its_last_part(model: str | None, name: str) -> None:
    assert model_name(model) == name

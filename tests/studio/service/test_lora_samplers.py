from pathlib import Path

import torch

from studio.service.lora_samplers import LoraSampler, lora_samplers
from tests.fakes.loras import save_lora

STATE = {
    "diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.zeros(4, 8),
    "diffusion_model.blocks.0.self_attn.q.lora_B.weight": torch.zeros(8, 4),
}


def test_distilled_loras_say_which_sampler_they_need(tmp_path: Path) -> None:
    fast = str(save_lora(tmp_path / "Wan2.2-Lightning_T2V-4steps_HIGH.safetensors", STATE))
    style = str(save_lora(tmp_path / "ink.safetensors", STATE))
    damaged = tmp_path / "lightning.safetensors"
    damaged.write_bytes(b"half")

    assert lora_samplers([fast, style, str(damaged), str(tmp_path / "missing")]) == (
        LoraSampler(
            file=fast,
            preset="Lightning",
            steps=4,
            guidance=1.0,
            guidance_2=1.0,
            scheduler="euler",
            shift=5.0,
        ),
    )

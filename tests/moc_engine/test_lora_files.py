import json
from pathlib import Path

import pytest

from moc_engine.errors import EngineError
from moc_engine.lora_files import (
    SAMPLER_PRESETS,
    lora_digest,
    preset_named,
    read_lora_file,
)


def save(path: Path, shapes: dict[str, list[int]], metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file of zeros in float32."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for key, shape in shapes.items():
        begin, end = end, end + 4 * shape[0] * shape[1]
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    return path


ONE = {
    "lora_unet_blocks_0_ffn_0.lora_down.weight": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}
}
COMFYUI = {
    "diffusion_model.blocks.0.self_attn.q.lora_A.weight": [4, 8],
    "diffusion_model.blocks.0.self_attn.q.lora_B.weight": [8, 4],
}


@pytest.mark.parametrize(
    ("key", "layout"),
    [
        ("transformer.blocks.0.attn1.to_q.lora_A.weight", "diffusers"),
        ("diffusion_model.blocks.0.self_attn.q.lora_down.weight", "comfyui"),
        ("lora_unet_blocks_0_self_attn_q.lora_down.weight", "kohya"),
    ],
)
def test_the_header_tells_layout_and_rank(tmp_path: Path, key: str, layout: str) -> None:
    file = read_lora_file(save(tmp_path / "look.safetensors", {key: [4, 8]}))

    assert (file.layout, file.rank, file.expert, file.preset, file.sampler) == (layout, 4, None, None, None)


@pytest.mark.parametrize(
    ("name", "preset", "expert", "steps"),
    [
        ("wan2.2_t2v_A14b_high_noise_lora_rank64_lightx2v_4step_1217", "LightX2V", "high", 4),
        ("Wan2.2-Lightning_T2V-A14B-4steps-lora_LOW_fp16", "Lightning", "low", 4),
        ("Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32", "LightX2V", None, 4),
        ("Wan21_CausVid_14B_T2V_lora_rank32_v2", "CausVid", None, 4),
        ("Wan21_AccVid_T2V_14B_lora_rank32_fp16", "AccVideo", None, 4),
        ("something_distill_lora_8steps", "LightX2V", None, 8),
        ("slow_motion_highlands", None, None, None),
        ("ink_high_and_low_noise", None, None, None),
    ],
)
def test_distilled_files_are_known_by_name(
    tmp_path: Path, name: str, preset: str | None, expert: str | None, steps: int | None
) -> None:
    file = read_lora_file(save(tmp_path / f"{name}.safetensors", COMFYUI))

    assert (file.preset, file.expert) == (preset, expert)
    sampler = file.sampler
    if steps is None:
        assert sampler is None
    else:
        assert sampler is not None
        assert (sampler.steps, sampler.guidance, sampler.guidance_2) == (steps, 1.0, 1.0)
        assert (sampler.scheduler, sampler.shift) == ("euler", 5.0)


def test_a_distilled_file_is_known_by_its_metadata(tmp_path: Path) -> None:
    metadata = {"ss_output_name": "wan_lightning_v1", "ss_epoch": "4"}
    assert read_lora_file(save(tmp_path / "a.safetensors", COMFYUI, metadata)).preset == "Lightning"


def test_every_preset_recognises_its_own_name() -> None:
    assert {preset_named(name) for name in SAMPLER_PRESETS} == set(SAMPLER_PRESETS)


def test_what_is_no_lora_is_refused_in_words(tmp_path: Path) -> None:
    whole = save(tmp_path / "model.safetensors", {"diffusion_model.blocks.0.self_attn.q.weight": [8, 8]})
    with pytest.raises(EngineError, match="no LoRA: none of its 1 tensors"):
        read_lora_file(whole)
    other = save(tmp_path / "sd.safetensors", {"unet.down.lora_A.weight": [4, 8]})
    with pytest.raises(EngineError, match=r"the first is unet\.down\.lora_A\.weight"):
        read_lora_file(other)
    lokr = save(tmp_path / "lokr.safetensors", {"lora_unet_blocks_0_ffn_0.lokr_w1": [4, 8]})
    with pytest.raises(EngineError, match="is a LoKr, not a LoRA"):
        read_lora_file(lokr)


def test_damaged_files_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no LoRA file"):
        read_lora_file(tmp_path / "missing.safetensors")
    pickled = tmp_path / "old.pt"
    pickled.write_bytes(b"PK")
    with pytest.raises(EngineError, match="may hold code"):
        read_lora_file(pickled)
    other = tmp_path / "look.gguf"
    other.write_bytes(b"GGUF")
    with pytest.raises(EngineError, match="files alone"):
        read_lora_file(other)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(EngineError, match="may hold code"):
        read_lora_file(damaged)
    cut = save(tmp_path / "cut.safetensors", COMFYUI)
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(
        EngineError, match=r"the LoRA .*cut\.safetensors is cut off: [\d,]+ of [\d,]+ bytes are there"
    ):
        read_lora_file(cut)


def test_metadata_of_null_are_none(tmp_path: Path) -> None:
    header = json.dumps({"__metadata__": None, **ONE}).encode()
    file = tmp_path / "look.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(128))
    assert read_lora_file(file).rank == 4


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    one, same = (save(tmp_path / f"{name}.safetensors", COMFYUI) for name in ("one", "same"))
    other = save(tmp_path / "other.safetensors", COMFYUI, {"title": "other"})

    assert lora_digest(one) == lora_digest(same) != lora_digest(other)

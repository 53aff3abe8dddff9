"""Carries out a profile while the parts of a model are loaded: the form of weights, and where they lie."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.hooks import apply_group_offloading

from moc_engine.errors import EngineError
from moc_engine.models.caption_cache import CachedTextEncoder
from moc_engine.models.residency import Residency
from moc_engine.profiles import Profile

FP8: Final = torch.float8_e4m3fn

AUTOENCODER_ENTRIES: Final = ("encoder", "quant_conv", "post_quant_conv", "decoder")
"""The parts of an autoencoder that are run one by one."""


class Fitting:
    """One profile on one device. `dtype` is the one that is computed in."""

    def __init__(self, profile: Profile, device: torch.device, home: torch.device | None = None) -> None:
        self.profile = profile
        self.device = device
        self.dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        self._residency = Residency(device, home)

    def transformer_options(self, *, quantised: bool = False) -> dict[str, Any]:
        """Options to load a transformer with, whose file may hold it `quantised` (GGUF) already.

        Raises `EngineError` where a package is missing.
        """
        if quantised or self.profile.weights != "int8":
            return {}
        return {"quantization_config": _int8_config()}

    def transformer(self, module: Any, name: str = "transformer", *, quantised: bool = False) -> Any:
        """Puts a transformer where the profile has it, its weights in that form unless `quantised`."""
        if self.profile.weights == "fp8" and not quantised:
            module.enable_layerwise_casting(storage_dtype=FP8, compute_dtype=self.dtype)
        if self.profile.transformer == "groups":
            module.enable_group_offload(
                onload_device=self.device,
                offload_device=torch.device("cpu"),
                offload_type="block_level",
                num_blocks_per_group=self.profile.blocks_per_group,
                use_stream=self.device.type == "cuda",
            )
            self._residency.announce(name, module)
        elif self.profile.transformer == "visits":
            self._residency.add(name, module)
        else:
            module.to(self.device)
            if self.profile.text_encoder != "stays" or self.profile.autoencoder != "stays":
                self._residency.announce(name, module)
        return module.eval()

    def encoder(self, module: Any, name: str) -> Any:
        """Puts an encoder of texts or pictures where the profile has the text encoder."""
        if self.profile.text_encoder == "stays":
            return module.to(self.device).eval()
        self._residency.add(name, module)
        return module.eval()

    def text_encoder(
        self, load: Callable[[], Any], *, identity: str, folder: Path | None, loaded: Any = None
    ) -> CachedTextEncoder:
        """The text encoder with its captions kept in `folder`; `load` reads its weights into main memory."""
        freed = self.profile.text_encoder in ("freed", "streamed")

        def place(module: Any) -> Any:
            if self.profile.text_encoder == "streamed":
                apply_group_offloading(
                    module,
                    onload_device=self.device,
                    offload_device=torch.device("cpu"),
                    offload_type="leaf_level",
                    use_stream=self.device.type == "cuda",
                )
                return module.eval()
            return module.to(self.device).eval() if freed else self.encoder(module, "text_encoder")

        cached = CachedTextEncoder(
            lambda: place(load()),
            self.device,
            identity=identity,
            folder=folder,
            loaded=None if loaded is None else place(loaded),
        )
        if freed:
            cached.used = self._residency.add_releasable("text_encoder", cached.release)
            if loaded is not None:
                cached.used()  # else it would stay where no caption needs it
        return cached

    def autoencoder(self, module: Any) -> Any:
        """Puts an autoencoder where the profile has it."""
        if self.profile.tile is not None:
            side, stride = self.profile.tile, self.profile.tile * 3 // 4
            module.enable_tiling(
                tile_sample_min_height=side,
                tile_sample_min_width=side,
                tile_sample_stride_height=stride,
                tile_sample_stride_width=stride,
            )
        if self.profile.autoencoder == "stays":
            return module.to(self.device).eval()
        entries = [getattr(module, entry) for entry in AUTOENCODER_ENTRIES]
        self._residency.add("vae", module, [entry for entry in entries if entry is not None])
        return module.eval()


def _int8_config() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old interfaces that the package itself uses
            from diffusers import TorchAoConfig
            from torchao.quantization import Int8WeightOnlyConfig
    except ImportError as error:
        raise EngineError(
            "8-bit integer weights need the package torchao: pip install 'moc-studio[quant]'"
        ) from error
    return TorchAoConfig(Int8WeightOnlyConfig(version=2))

"""The families of video models that the engine drives, by name: what saves a tiny model in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.fakes import wan_folders
from tests.fakes.hunyuan_folder import hunyuan_folder

FAMILIES: Final[Mapping[str, Callable[[Path], None]]] = {
    "wan-t2v": wan_folders.wan_t2v_folder,
    "wan-ti2v": wan_folders.wan_ti2v_folder,
    "wan-a14b": wan_folders.wan_a14b_folder,
    "wan-i2v": wan_folders.wan_i2v_folder,
    "wan-i2v-a14b": wan_folders.wan22_i2v_folder,
    "wan-vace": wan_folders.wan_vace_folder,
    "wan-vace-a14b": wan_folders.wan_vace_a14b_folder,
    "fastwan": wan_folders.fastwan_folder,
    "hunyuan": hunyuan_folder,
}

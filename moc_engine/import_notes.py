"""Leaves out what optional libraries log when they are imported, and which no user can act on. No torch.

diffusers imports torchao where it is installed; torchao tells of each of its binaries for other machines that
it cannot load, torch of the old interfaces that torchao uses, and diffusers of a format that the engine does
not read. All else that these libraries log is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

LEFT_OUT: Final[Mapping[str, str]] = {
    "torchao": "Failed to load ",
    "torch.utils._pytree": "register_constant() on Enum",
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
}
"""Logger -> a part of the messages that are left out."""


def leave_out_import_notes() -> None:
    """From now on these messages are not logged; calling it again changes nothing."""
    for name, part in LEFT_OUT.items():
        logger = logging.getLogger(name)
        if not any(isinstance(known, _Without) for known in logger.filters):
            logger.addFilter(_Without(part))


class _Without(logging.Filter):
    def __init__(self, part: str) -> None:
        super().__init__()
        self._part = part

    def filter(self, record: logging.LogRecord) -> bool:
        return self._part not in record.getMessage()

"""What all tests share.

Triton decides whether its kernels are interpreted when it is imported, so `kernels` comes before all else.
Hypothesis has no deadline, as shared machines stall; tests of kernels run on machines that have none.
"""

from __future__ import annotations

from importlib.util import find_spec

import tests.fakes.kernels  # noqa: F401

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

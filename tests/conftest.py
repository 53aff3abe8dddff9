"""What all tests share: Hypothesis without a deadline, as shared machines stall.

Tests of kernels run on machines that have no Hypothesis.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")

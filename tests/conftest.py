"""What all tests share: Hypothesis without a deadline, as shared machines stall."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

from __future__ import annotations

import logging

import pytest

from moc_engine.import_notes import LEFT_OUT, leave_out_import_notes


@pytest.mark.parametrize("name", LEFT_OUT)
def test_filters_are_added_once(name: str) -> None:
    leave_out_import_notes()
    before = list(logging.getLogger(name).filters)
    leave_out_import_notes()
    assert logging.getLogger(name).filters == before != []


@pytest.mark.parametrize("name", LEFT_OUT)
def test_notes_of_imports_are_left_out_and_nothing_else(name: str, caplog: pytest.LogCaptureFixture) -> None:
    leave_out_import_notes()
    logger = logging.getLogger(name)
    propagates, logger.propagate = logger.propagate, True
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with caplog.at_level(logging.WARNING):
            logger.warning("%s: some words", LEFT_OUT[name])
            logger.warning("weights are damaged")
    finally:
        logger.propagate = propagates
        logger.setLevel(level)
    assert caplog.messages == ["weights are damaged"]

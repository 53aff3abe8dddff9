"""Garbage collection is suspended within the block alone."""

from __future__ import annotations

import gc

import pytest

from moc_engine.collection import collection_suspended


def test_collection_is_suspended_within_the_block() -> None:
    assert gc.isenabled()
    with collection_suspended():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_goes_on_after_a_failure() -> None:
    with pytest.raises(ImportError), collection_suspended():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_an_inner_block_does_not_end_the_outer_one() -> None:
    with collection_suspended():
        with collection_suspended():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()

"""The costs of the simulation are those of the real store."""

from __future__ import annotations

from dataclasses import astuple, replace

from studio.scale.statements import count_statements


def test_statements_are_counted_at_the_store() -> None:
    found = count_statements()
    assert 0 <= found.passing <= 20
    assert min(astuple(replace(found, passing=3))) >= 3, "each begins, does something, and ends"
    assert found.look < found.beat <= found.report < found.commit
    assert found.ask < found.claim_nothing < found.claim
    assert max(astuple(found)) < 60
    assert count_statements() == found

from __future__ import annotations

import json

import pytest

from studio.cli.main import main

SMALL = ("eval", "scale", "--workers", "2", "20", "--films", "30", "--statement-ms", "5", "--measured", "50")


def test_a_table_tells_what_gives_out_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL]) == 0
    first, headings, _, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith("statements of a transaction: ask ")
    assert [cell.strip() for cell in headings.split("|")][-2] == "gives out first"
    assert [cell.strip() for cell in rows[0].split("|")][-2] == "workers"
    assert [cell.strip() for cell in rows[1].split("|")][-2] == "films"
    assert len({len(line) for line in (headings, *rows)}) == 1


def test_figures_come_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--json", "--notified", "--connections", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["statements"]["commit"] > told["statements"]["look"]
    assert [farm["workers"] for farm in told["farms"]] == [2, 20]
    assert all(farm["connections"] == 3 and farm["notified"] for farm in told["farms"])
    assert all(farm["delay_p50"] <= farm["delay_p95"] for farm in told["farms"])


@pytest.mark.parametrize("wrong", [("--workers", "0"), ("--connections", "0"), ("--statement-ms", "-1")])
def test_numbers_without_sense_are_refused(
    wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "scale", "--films", "10", *wrong]) == 2
    assert "must be" in capsys.readouterr().err

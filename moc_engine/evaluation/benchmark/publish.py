"""Puts results where the repository keeps them: the JSON, a plot, RESULTS.md and the README."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from moc_engine.evaluation.benchmark.plots import write_plot
from moc_engine.evaluation.benchmark.report import readme_lines, section
from moc_engine.evaluation.benchmark.results import Refused, load, load_measured
from moc_engine.files import atomic_file

ROOT: Final = Path(__file__).parents[3]
BEGIN: Final = "<!-- written by the benchmark: from here -->"
END: Final = "<!-- written by the benchmark: to here -->"


def publish(measured: Path, root: Path = ROOT) -> list[Path]:
    """Copies the results in the file `measured` into the source tree `root`, and writes all that shows them.

    Returns what was written. Raises `Refused` for a tiny run, or where a document lacks its markers.
    """
    kept = root / "moc_engine/evaluation/results"
    document = load_measured(measured)
    target = kept / f"{document['machine']['kind']}.json"
    with atomic_file(target) as part:
        part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    documents = {path.stem: load(path) for path in sorted(kept.glob("*.json"))}
    written = [target]
    for kind, found in documents.items():
        written.append(root / f"static/speed-{kind}.png")
        write_plot(found, written[-1])
    results, readme = root / "moc_engine/evaluation/RESULTS.md", root / "README.md"
    _replace(results, sections(documents))
    _replace(readme, readme_lines(list(documents.values())))
    return [*written, results, readme]


def sections(documents: dict[str, dict[str, Any]]) -> list[str]:
    """Those of all kinds of machines for RESULTS.md, each with its plot."""
    lines = []
    for kind, document in documents.items():
        lines += [section(document)]
        lines += [f"![Speed by length of the story](../../static/speed-{kind}.png)", ""]
    return lines[:-1]


def _replace(file: Path, lines: Sequence[str]) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise Refused(f"{file.name}: needs the lines {BEGIN} and {END} once")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with atomic_file(file) as part:
        part.write_text("\n".join([f"{before}{BEGIN}", "", *lines, "", f"{END}{after}"]), encoding="utf-8")

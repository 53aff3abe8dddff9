"""Rows of the table that "auto" chooses by (`moc_engine.ops.choice`), from results of the benchmark."""

from __future__ import annotations

from typing import Any

from moc_engine.evaluation.benchmark.report import Document


def table_of(document: Document) -> dict[str, Any]:
    """Machines and rows in the form of `measured.json`, for every case of attention that was right.

    Times are those of a backend over the fastest dense attention's, eager launches alone.
    """
    found = document["machine"]
    name = found.get("gpu") or f"{found['processor']}, {found['threads']} threads"
    rows, dtypes = [], set()
    for case in document["cases"].values():
        times = {
            entry["name"]: round(1 / entry["faster"]["median"], 3)
            for entry in case.get("entries", ())
            if entry["kind"] == "ours" and "faster" in entry and "," not in entry["name"]
        }
        if not times:
            continue
        shape = case["shape"]
        dtypes.add(shape["dtype"])
        rows.append(
            {
                "machine": name,
                "gradients": case["part"] == "backward",
                "rows": shape["heads"],
                "own": shape["queries"],
                "history": shape["context"] - shape["queries"],
                "chunk": shape["chunk"],
                "top_k": shape["top_k"],
                "head": shape["width"],
                "times": times,
            }
        )
    machine = {
        "device": "cuda" if "gpu" in found else "cpu",
        "processor": found.get("gpu") or found["processor"],
        "threads": found["threads"],
        "torch": document["versions"]["torch"],
        "dtype": ", ".join(sorted(dtypes)),
        "measured": str(document["date"])[:10],
    }
    return {"machines": {name: machine}, "rows": rows}

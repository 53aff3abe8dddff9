"""The benchmark: attention of a selection against every peer on the machine, late shots, and denoising.

    cases ─► story (tensors) ─► contestants ─► check against float64 ─► time side by side ─► results (JSON)
                                                    └► wrong: no figure         plots, Markdown ◄┘

A speed is measured only after the same configuration has passed its check in the same run, and every speed
is a ratio to something that was measured alternately with it in the same process.

    python -m moc_engine.evaluation.benchmark --device cpu
"""

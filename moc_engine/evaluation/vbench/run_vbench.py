"""Run by the Python of the user's VBench environment: measures a folder of clips, dimension by dimension.

Its argument is a JSON file: {"clips": FOLDER, "results": FOLDER, "dimensions": [NAME, …]}. VBench writes
NAME_eval_results.json into the results; errors.json there has the error of each dimension that failed. Knows
nothing of this program, and runs on Python 3.8.
"""

import json
import sys
from pathlib import Path


def main(file: str) -> None:
    import torch
    from vbench import VBench  # type: ignore[import-not-found]

    request = json.loads(Path(file).read_text(encoding="utf-8"))
    results = Path(request["results"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vbench = VBench(device, "", str(results))
    errors = {}
    for dimension in request["dimensions"]:
        try:
            vbench.evaluate(
                videos_path=request["clips"],
                name=dimension,
                dimension_list=[dimension],
                local=True,
                read_frame=False,
                mode="custom_input",
                imaging_quality_preprocessing_mode="longer",
            )
        except Exception as error:  # the other dimensions can still be measured
            errors[dimension] = f"{type(error).__name__}: {error}"
    (results / "errors.json").write_text(json.dumps(errors), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

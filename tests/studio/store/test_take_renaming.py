"""New ids of takes: they follow into what other takes were rendered from."""

from __future__ import annotations

from typing import Any

from studio.store.take_renaming import renamed_ids, renamed_inputs


def inputs(**more: Any) -> dict[str, Any]:
    plain = {"model": "old@1", "caption": "Mira waves", "global_caption": "", "cast": [], "seconds": 1.0}
    return {**plain, "fps": 8, "size": [64, 64], "seed": 7, "version": 2, **more}


def test_first_frames_and_drafts_follow_the_takes_they_name() -> None:
    takes = {
        "later": inputs(seed=8, first_frame="take:first@7", guide="draft", guide_strength=0.5),
        "first": inputs(),
        "draft": inputs(seed=9),
        "controlled": inputs(seed=10, control="draft", control_scale=1.0),
    }
    ids = renamed_ids(takes, lambda model: model.replace("old", "new"))
    assert not {*ids} & {*ids.values()}
    renamed = renamed_inputs(takes["later"], ids, lambda model: "new@1")
    assert (renamed["first_frame"], renamed["guide"]) == (f"take:{ids['first']}@7", ids["draft"])
    assert renamed_inputs(takes["controlled"], ids, lambda model: "new@1")["control"] == ids["draft"]
    kept = renamed_inputs(inputs(first_frame=f"picture:{'0' * 64}"), ids, lambda model: "new@1")
    assert kept["first_frame"] == f"picture:{'0' * 64}"
    assert "guide" not in kept

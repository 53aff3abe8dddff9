"""Recipes: everything to make a film again, of bounded size, and readable after other programs' work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.stored_file import LocalFile
from studio.domain.cut import Clip, cut_of
from studio.domain.edits.film import SetSettings
from studio.domain.edits.shot_inputs import Steer
from studio.domain.edits.timeline import Skip, Split
from studio.domain.errors import BadRecipe
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import RenderingModel, inputs_of
from studio.domain.project import Project
from studio.domain.settings import Settings
from studio.domain.storyboard import CastMember, Shot, Storyboard, compose_captions, shot_seed
from studio.exchange.mp4 import MOST_TAG, Piece, join, recipe_in
from studio.exchange.mp4_box import MOST_BOXES, append_box, read_box
from studio.exchange.recipe import Recipe, read_recipe, recipe_of
from studio.store.takes import StoredTake
from tests.fakes.projects import project, rendered
from tests.fakes.renderer import write_clip

Cut = tuple[Clip[StoredTake], ...]


def stored(done: Project, takes: dict[str, Any]) -> Cut:
    """The cut of a project whose takes have no files."""
    kept = {
        name: StoredTake(
            **{field: getattr(take, field) for field in take.__dataclass_fields__},
            backend="gathered",
            timings={},
            own_share=None,
            clip="",
            latents="",
            trace="",
            thumbnail="",
            created=0.0,
        )
        for name, take in takes.items()
    }
    return cut_of(done, kept)


def story(shots: int, caption: str = "Mira walks right with the red kite on the beach at sunset ") -> Project:
    board = Storyboard(
        title="A long story",
        style="warm evening light",
        cast=(CastMember(name="Mira", look="a red round creature with a top hat"), CastMember(name="Otto")),
        shots=tuple(
            Shot(id=f"shot-{place:012x}-1", caption=f"{place} {caption * 9}"[:120].strip())
            for place in range(shots)
        ),
    )
    return Project(board=board)


def filmed(start: Project) -> tuple[Project, Cut]:
    """The project with a take for each shot that sees all earlier takes."""
    done, takes = start, dict[str, FinishedTake]()
    captions = compose_captions(start.board)
    context: list[tuple[int, str]] = []
    for place, shot in enumerate(start.board.shots):
        inputs = inputs_of(
            start.board, RenderingModel(identity="animatic@66d33b7ca48b (0.1.0)"), place,
            caption=captions[place], context=context, seed=shot_seed(start.board, place),
        )  # fmt: skip
        take = FinishedTake(id=inputs.take_id, inputs=inputs, caption=shot.caption, frames=72)
        takes[take.id] = take
        context.append((place, take.id))
        done = done.choosing(shot.id, take.id)
    return done, stored(done, takes)


def packed(recipe: dict[str, Any]) -> int:
    return len(json.dumps(recipe, ensure_ascii=False, separators=(",", ":")).encode())


def test_two_hundred_shots_fit_into_the_comment_tag() -> None:
    recipe = recipe_of(*filmed(story(200)))
    assert packed(recipe) <= MOST_TAG
    assert len(recipe["storyboard"]["shots"][100]["caption"]) >= 118


def test_a_recipe_grows_with_the_number_of_shots() -> None:
    small, large = (packed(recipe_of(*filmed(story(shots)))) for shots in (100, 400))
    assert large < 4.2 * small


def test_what_is_read_gives_the_same_takes() -> None:
    done, takes = rendered(project("Mira waves", "Otto runs", "Mira sits", "Otto and Mira dance", fps=4.0))
    done = Split(shot="b", at=1.0, id="b2").apply(done, takes)
    done = Steer(shot="d", pins=("a",), boosts={"b": 0.5}).apply(done, takes)
    done = SetSettings(settings=Settings(steps=3, top_k=2, full_below=8192)).apply(done, takes)
    done, takes = rendered(done, takes, only="d")
    done = Skip(shots=("c",), on=True).apply(done, takes)
    clips = stored(done, takes)
    recipe = read_recipe(json.loads(json.dumps(recipe_of(done, clips))))
    assert recipe.board == done.board
    assert [(take.shot, take.take) for take in recipe.takes] == [(c.shot.id, c.take.id) for c in clips]
    assert [take.inputs for take in recipe.takes] == [clip.take.inputs for clip in clips]
    assert all(take.inputs.take_id == take.take for take in recipe.takes)


def test_drafts_are_drafts_again() -> None:
    done, takes = rendered(project("Mira waves", "Otto runs"))
    settings = Settings(model="maker/video")
    drafted = SetSettings(settings=settings).apply(done, takes).choosing("b", done.chosen["a"])
    made = read_recipe(json.loads(json.dumps(recipe_of(drafted, stored(drafted, takes))))).project
    assert (made.chosen, made.drafts) == ({"b": done.chosen["a"]}, {"a": done.chosen["a"]})
    assert made.lane == "final"


def test_a_take_with_another_seed_gives_its_shot_that_seed() -> None:
    done, takes = rendered(project("Mira waves", "Otto runs"))
    clips = stored(done, takes)
    other = replace(clips[1], take=replace(clips[1].take, inputs=replace(clips[1].take.inputs, seed=99)))
    made = read_recipe(recipe_of(done, (clips[0], other))).project
    assert [shot.seed for shot in made.board.shots] == [None, 99]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip.mp4", (90, 120, 60), seconds=0.5, fps=8.0, size=(64, 64))
    return tmp_path / "clip.mp4"


def film_of(clip: Path, recipe: dict[str, Any]) -> Path:
    film = clip.with_name("film.mp4")
    join([Piece(clip=LocalFile(clip), first=0, frames=4, name="shot 1")], film, title="x", recipe=recipe)
    return film


def rewrapped(film: Path, ending: str) -> Path:
    target = film.with_name(f"rewrapped{ending}")
    with av.open(film) as source, av.open(target, "w") as output:
        output.metadata.update(source.metadata)
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return target


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_a_recipe_in_the_tag_outlives_rewrapping(clip: Path, ending: str) -> None:
    recipe = recipe_of(*filmed(story(150)))
    assert recipe_in(rewrapped(film_of(clip, recipe), ending)) == recipe


def test_a_longer_recipe_is_attached_whole(clip: Path) -> None:
    recipe = recipe_of(*filmed(story(150, caption="小红在海边放风筝，夕阳西下")))
    assert packed(recipe) > MOST_TAG
    film = film_of(clip, recipe)
    with av.open(film) as container:
        tag = json.loads(container.metadata["comment"])
        assert len(list(container.decode(video=0))) == 4
    assert tag["storyboard"]["title"] == "A long story"
    assert len(json.dumps(tag)) < 2000
    assert recipe_in(film) == recipe
    with pytest.raises(BadRecipe, match="did not fit into its comment tag"):
        recipe_in(rewrapped(film, ".mp4"))


def test_a_file_of_endless_boxes_is_read_to_a_limit(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(bytes((0, 0, 0, 8)) * 2 * (MOST_BOXES - 1))
    append_box(film, b"{}")
    assert read_box(film) == b"{}"
    film.write_bytes(bytes((0, 0, 0, 8)) * 2 * MOST_BOXES)
    append_box(film, b"{}")
    assert read_box(film) is None


def test_an_attachment_that_is_damaged_is_not_taken(clip: Path) -> None:
    film = film_of(clip, recipe_of(*filmed(story(150, caption="小红在海边放风筝，夕阳西下"))))
    data = bytearray(film.read_bytes())
    data[-2000] ^= 1
    film.write_bytes(data)
    with pytest.raises(BadRecipe):
        recipe_in(film)


TAKE_1 = {
    "number": 1, "take": "aaaaaaaaaaaaaaaa", "backend": "gathered", "first_frame": 0, "frames": 12,
    "model": "animatic@1", "caption": "Mira walks. Mira is red.", "global_caption": "at night",
    "cast": ["Mira", "Otto"], "seconds": 1.0, "fps": 12.0, "size": [160, 90], "seed": 7, "steps": 4,
    "guidance": None, "top_k": None, "context": [], "pins": [], "bans": [], "boosts": {},
}  # fmt: skip
TAKE_2 = {
    **TAKE_1, "number": 2, "take": "bbbbbbbbbbbbbbbb", "first_frame": 6, "frames": 6, "seconds": 2.0,
    "caption": "Otto waves", "seed": 8, "context": ["aaaaaaaaaaaaaaaa"], "pins": ["aaaaaaaaaaaaaaaa/Mira"],
}  # fmt: skip


def test_films_of_earlier_studios_become_projects() -> None:
    """They kept no storyboard: what their takes were rendered from tells it."""
    made = read_recipe({"program": "moc-studio 0.1.0", "title": "Old", "shots": [TAKE_1, TAKE_2]}).project
    board = made.board
    assert (board.title, board.style, board.size, board.fps) == ("Old", "at night", (160, 90), 12)
    assert (board.names, board.settings.steps) == (("Mira", "Otto"), 4)
    first, second = board.shots
    assert (first.caption, first.seconds, first.trim, first.seed) == ("Mira walks. Mira is red.", 1.0, 0.0, 7)
    assert (second.caption, second.seconds, second.trim, second.seed) == ("Otto waves", 0.5, 0.5, 8)
    assert second.pins == (f"{first.id}/Mira",)
    assert made.chosen == {first.id: TAKE_1["take"], second.id: TAKE_2["take"]}


def test_films_of_earlier_storyboard_files_become_projects() -> None:
    shots: list[dict[str, Any]] = [
        {"id": f"shot-{name}-1", "caption": name, "seconds": 1.0, "trim": 0.0, "seed": None, "pins": [],
         "bans": [], "boosts": {}, "skip": False, "lock": False}
        for name in "ab"
    ]  # fmt: skip
    settings = {"model": None, "steps": None, "guidance": None, "top_k": None, "looks": "first", "worth": 0.3}
    storyboard = {
        "title": "Old", "shots": shots, "cast": [{"name": "Mira", "look": "red"}], "style": "",
        "size": [160, 90], "fps": 12.0, "seed": 3, "settings": settings,
    }  # fmt: skip
    takes = [{k: v for k, v in TAKE_2.items() if k not in ("first_frame", "frames")}]
    recipe = read_recipe({"program": "moc-studio 0.1.0", "storyboard": storyboard, "shots": takes})
    assert recipe.board.settings.rerender_threshold == 0.3
    assert recipe.board.cast == (CastMember(name="Mira", look="red"),)
    assert [(take.shot, take.frames) for take in recipe.takes] == [("shot-b-1", 24)]
    assert [shot.seed for shot in recipe.project.board.shots] == [None, 8]


def test_the_clip_of_a_take_becomes_a_project_of_one_shot() -> None:
    board = read_recipe({**TAKE_1, "program": "moc-studio 0.1.0"}).project.board
    assert [shot.caption for shot in board.shots] == ["Mira walks. Mira is red."]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ("recipe", "program", "storyboard", "common", "takes", "shots", "title", "caption")


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=6), JSON | st.just(2), max_size=6))
def test_no_recipe_breaks_the_reader(data: dict[str, Any]) -> None:
    with pytest.raises(BadRecipe):
        read_recipe(data)


def outcome(recipe: Any) -> Recipe | BadRecipe:
    try:
        return read_recipe(recipe)
    except BadRecipe as error:
        return error


PLACES: Any = [("storyboard",), ("common",), ("takes", 1), ("storyboard", "shots", 1)]


@given(st.data())
def test_no_change_of_a_recipe_breaks_the_reader(data: st.DataObject) -> None:
    recipe: Any = recipe_of(*filmed(story(3)))
    inner = recipe
    for key in data.draw(st.sampled_from(PLACES)):
        inner = inner[key]
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(JSON)
    assert isinstance(outcome(recipe), Recipe | BadRecipe)


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 1e308, 10**400, -1, 0, "1/0"])
@pytest.mark.parametrize("field", ["fps", "seconds", "seed", "show", "first_frame", "frames", "size"])
def test_numbers_out_of_range_are_refused_or_read(field: str, number: Any) -> None:
    value = [number, number] if field in ("show", "size") else number
    recipe: Any = recipe_of(*filmed(story(2)))
    recipe["takes"][1][field] = value
    recipe["storyboard"]["fps"] = number if field == "fps" else 24
    first: Any = {**recipe["common"], **recipe["takes"][0], "caption": "Mira waves", "context": []}
    for data in (recipe, {**first, "fps": 24.0, field: value}):
        read = outcome({name: part for name, part in data.items() if name not in ("shot", "show", "version")})
        assert isinstance(read, BadRecipe) or isinstance(read.project, Project)


def test_a_context_does_not_unfold_without_limit() -> None:
    recipe: Any = recipe_of(*filmed(story(3)))
    recipe["takes"][2]["context"] = [[0, 3]] * 1000
    with pytest.raises(BadRecipe):
        read_recipe(recipe)

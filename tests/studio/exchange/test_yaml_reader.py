from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.domain.errors import BadStoryboard
from studio.domain.settings import Lora, Settings
from studio.domain.storyboard import CastMember, Storyboard, shot_seed
from studio.exchange.plain_yaml import MAX_BYTES
from studio.exchange.yaml_reader import parse_storyboard, read_storyboard
from studio.exchange.yaml_writer import write_storyboard

EXAMPLE = """\
title: The red kite
size: 1280x720
fps: 24
seed: 7
style: warm evening light
cast:
  - {name: Mira, look: a red round creature with a top hat}
  - {name: Otto}                     # look left to the first appearance
shots:
  - {caption: "Mira walks right on the beach", seconds: 3}
  - {caption: "Otto jumps in the forest, close-up", seconds: 2.5, seed: 12}
  - {caption: "Mira and Otto dance on the beach, zoom in", seconds: 4, pins: [1], bans: [2]}
"""

BILLION_LAUGHS = "a: &a [x, x]\n" + "".join(f"{c}: &{c} [*{b}, *{b}]\n" for b, c in pairwise("abcdefghi"))


def read(tmp_path: Path, text: str | bytes) -> object:
    path = tmp_path / "story.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_storyboard(path)


def test_reads_what_the_manual_shows(tmp_path: Path) -> None:
    board = read_storyboard(_written(tmp_path, EXAMPLE))
    assert (board.title, board.size, board.fps, board.seed) == ("The red kite", (1280, 720), 24.0, 7)
    assert board.style == "warm evening light"
    assert board.cast == (
        CastMember(name="Mira", look="a red round creature with a top hat"),
        CastMember(name="Otto"),
    )
    assert [shot.seconds for shot in board.shots] == [3.0, 2.5, 4.0]
    assert [shot.seed for shot in board.shots] == [None, 12, None]
    one, two, three = board.shots
    assert (three.pins, three.bans) == ((one.id,), (two.id,))


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    board = read_storyboard(_written(tmp_path, "shots: [{caption: a ball}]", name="my-first_film.yaml"))
    assert (board.title, board.size, board.fps, board.seed) == ("my first film", (1280, 720), 24.0, 0)
    assert board.shots[0].seconds == 3.0
    assert board.cast == ()


def test_capitalised_unknown_words_are_the_cast_where_none_is_listed(tmp_path: Path) -> None:
    text = "shots:\n  - caption: Mira waves on the beach\n  - caption: Otto's hat and Mira jump\n"
    board = read_storyboard(_written(tmp_path, text))
    assert board.names == ("Mira", "Otto")


def test_what_cannot_be_a_name_is_none(tmp_path: Path) -> None:
    text = f"shots: [{{caption: \"{'W' * 44} and Mira's's ball and Otto\"}}]"
    assert read_storyboard(_written(tmp_path, text)).names == ("Otto",)


def test_texts_are_composed(tmp_path: Path) -> None:
    text = "cast: [{name: Zo\u00eb}]\nshots: [{caption: Zoe\u0308 waves}]"
    board = read_storyboard(_written(tmp_path, text))
    assert board.names == ("Zo\u00eb",)
    assert board.shots[0].caption == "Zo\u00eb waves"


def test_a_shot_stays_itself_where_it_moves(tmp_path: Path) -> None:
    before = read_storyboard(_written(tmp_path, "shots: [{caption: a}, {caption: b}, {caption: b}]"))
    after = read_storyboard(
        _written(tmp_path, "shots: [{caption: x}, {caption: b}, {caption: a}, {caption: b}]")
    )
    a, b, second_b = before.shots
    assert [shot.id for shot in after.shots][1:] == [b.id, a.id, second_b.id]
    assert shot_seed(after, 2) == shot_seed(before, 0)
    assert len({shot.id for shot in after.shots}) == 4


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff-\x1b-" + b"x" * 230 + b".yaml")
    path.write_text("shots: [{caption: a}]")
    assert read_storyboard(path).title == "x" * 200


def test_an_empty_cast_list_is_a_cast_of_nobody(tmp_path: Path) -> None:
    board = read_storyboard(_written(tmp_path, "cast: []\nshots: [{caption: Mira waves}]"))
    assert board.names == ()


def test_texts_are_texts_whatever_they_look_like(tmp_path: Path) -> None:
    text = "title: 2024\ncast: [{name: No}, {name: 7}]\nshots: [{caption: yes}]"
    board = read_storyboard(_written(tmp_path, text))
    assert (board.title, board.names, board.shots[0].caption) == ("2024", ("No", "7"), "yes")


def test_a_caption_over_several_lines_is_one_line(tmp_path: Path) -> None:
    text = "shots:\n  - caption: |\n      Mira walks\n      on the beach\n"
    assert read_storyboard(_written(tmp_path, text)).shots[0].caption == "Mira walks on the beach"


def test_byte_order_mark_carriage_returns_and_any_script(tmp_path: Path) -> None:
    text = "title: Żółw 🐢\r\nshots:\r\n  - caption: 世界 waves\r\n"
    board = read_storyboard(_written(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert (board.title, board.shots[0].caption) == ("Żółw 🐢", "世界 waves")


def test_flags_boosts_and_settings(tmp_path: Path) -> None:
    text = """\
settings: {steps: 8, guidance: 2, top_k: 5, full_below: Auto, looks: every}
shots:
  - caption: one
    lock: true
  - caption: two
    skip: on
    boosts: {1: -0.5}
"""
    board = read_storyboard(_written(tmp_path, text))
    assert (board.shots[0].lock, board.shots[1].skip, board.shots[1].boosts) == (
        True,
        True,
        {board.shots[0].id: -0.5},
    )
    settings = board.settings
    assert (settings.steps, settings.guidance, settings.top_k, settings.looks) == (8, 2.0, 5, "every")
    assert settings.full_below == "auto"


WHOLE = """\
title: Whole
settings:
  negative_prompt: ''
  scheduler: dpm++
  shift: 5
  guidance_2: 3.5
  step_cache: mag
  memory_policy: change
  keyframes: 4
  memory_storage: int8
  positions: clamp
  router: window
  draft_model: maker/fast
  guide_strength: 0.7
  loras: [ink.safetensors, {file: fast.safetensors, weight: 0.8, expert: high}]
cast: [{name: Mira, picture: pictures/mira.jpg}, Otto]
shots:
  - caption: one
    first_frame: pictures/start.png
  - caption: two
    first_frame: previous
    guide_strength: 1
    negative_prompt: blurred, dark
    loras: [{file: ink.safetensors, weight: 0}]
  - {caption: three, first_frame: 1, control_scale: 0.8}
"""


def test_what_goes_with_a_real_model_is_read_and_written(tmp_path: Path) -> None:
    board = read_storyboard(_written(tmp_path, WHOLE))
    assert board.settings == Settings(
        negative_prompt="",
        scheduler="dpm++",
        shift=5.0,
        guidance_2=3.5,
        step_cache="mag",
        memory_policy="change",
        keyframes=4,
        memory_storage="int8",
        positions="clamp",
        router="window",
        draft_model="maker/fast",
        guide_strength=0.7,
        loras=(Lora(file="ink.safetensors"), Lora(file="fast.safetensors", weight=0.8, expert="high")),
    )
    one, two, three = board.shots
    assert one.first_frame == f"file:{tmp_path / 'pictures/start.png'}"
    assert (two.first_frame, three.first_frame) == ("previous", f"shot:{one.id}")
    assert (two.negative_prompt, two.loras) == ("blurred, dark", (Lora(file="ink.safetensors", weight=0.0),))
    assert (two.guide_strength, two.control_scale, three.control_scale) == (1, None, 0.8)
    assert [member.picture for member in board.cast] == [f"file:{tmp_path / 'pictures/mira.jpg'}", None]
    again = _written(tmp_path, write_storyboard(board))
    assert read_storyboard(again) == board


SHOT = "shots:\n  - caption: a\n    "

MISTAKES = [
    # (text, line, what the message says)
    ("", None, "is empty"),
    ("# only a comment\n", None, "is empty"),
    ("just words", 1, "expected 'key: value' lines"),
    ("- a\n- b", 1, "expected 'key: value' lines"),
    ("title: x\n", 1, "the key 'shots' is missing"),
    ("title: x\nshots:\n", 2, "shots: is empty"),
    ("shots: []", 1, "at least one shot"),
    ("shots: 3", 1, "must be a list, got '3'"),
    ("shots:\n  - [a, list]", 2, "expected 'key: value' lines"),
    ("shots:\n  - seconds: 3", 2, "shot 1: the key 'caption' is missing"),
    ("shots:\n  - caption:\n    seconds: 3", 2, "shot 1, caption: is empty"),
    ("shots:\n  - caption: ''", 2, "shot 1, caption: is empty"),
    ("shots:\n  - caption: '   '", 2, "shot 1, caption: is empty"),
    ("shots:\n  - caption: [a]", 2, "must be a text, got a list"),
    ("shots:\n  - caption: Mira says: hello", 2, "needs quotes around it"),
    ("shots:\n  - captoin: x", 2, "captoin: unknown key; did you mean 'caption'?"),
    ("shots:\n  - caption: x\n    zzz: 1", 3, "zzz: unknown key; known are caption, seconds"),
    ("titel: x\nshots: [{caption: a}]", 1, "did you mean 'title'?"),
    ("title: x\ntitle: y\nshots: [{caption: a}]", 2, "'title' is there twice"),
    ("title: [x\nshots:", 2, "not valid YAML"),
    ("title: 'x", 1, "not valid YAML"),
    ("\ttitle: x", 1, "not valid YAML"),
    ("title: x\n--- \ntitle: y", 2, "second document"),
    (SHOT + "seconds: -3", 3, "seconds: must lie within 0.5–60 s, got -3"),
    (SHOT + "seconds: 0", 3, "must lie within 0.5–60 s"),
    (SHOT + "seconds: 1e9", 3, "must lie within 0.5–60 s"),
    (SHOT + "seconds: 1e9999", 3, "must be a finite number"),
    (SHOT + "seconds: .inf", 3, "must be a finite number"),
    (SHOT + "seconds: -.INF", 3, "must be a finite number"),
    (SHOT + "seconds: .nan", 3, "must be a finite number"),
    (SHOT + "seconds: nan", 3, "must be a number, got 'nan'"),
    (SHOT + "seconds: 1:30", 3, "must be a number, got '1:30'"),
    (SHOT + "seconds: 3 s", 3, "must be a number, got '3 s'"),
    (SHOT + "seconds: '3'", 3, "must be a number without quotes"),
    (SHOT + "seconds: [3]", 3, "must be a number, got a list"),
    (SHOT + "seed: -1", 3, "seed: must be a whole number from 0"),
    (SHOT + "seed: 1.5", 3, "must be a whole number, got '1.5'"),
    (SHOT + f"seed: {'9' * 5000}", 3, "must be a whole number, got '999"),
    (SHOT + "skip: maybe", 3, "must be true or false"),
    (SHOT + "pins: [1]", 3, "shot 1, pins: a shot cannot name itself"),
    (SHOT + "pins: [2]", 3, "shot 2 is not earlier than shot 1"),
    (SHOT + "pins: [99]", 3, "shot 99 is not earlier"),
    (SHOT + "pins: [0]", 3, "shots count from 1"),
    (SHOT + "pins: [-1]", 3, "shots count from 1"),
    (SHOT + "pins: [1/Mira]", 3, "a shot cannot name itself"),
    (SHOT + "pins: [x/Mira]", 3, "must be a whole number, got 'x/Mira'"),
    (SHOT + "pins: [x]", 3, "must be a whole number, got 'x'"),
    (SHOT + "pins: 1", 3, "must be a list"),
    (SHOT + "bans: [2]", 3, "is not earlier"),
    (SHOT + "boosts: {1: 2}", 3, "cannot name itself"),
    (SHOT + "boosts: [1]", 3, "must map shots to numbers"),
    (SHOT + "\n  - {caption: b, pins: [1], bans: [1]}", 4, "shot 2, bans: the same shot is also pinned"),
    (SHOT + "\n  - {caption: b, pins: [1, 1]}", 4, "the same shot is there twice"),
    (SHOT + "\n  - {caption: b, boosts: {1: .inf}}", 4, "must be a finite number"),
    (SHOT + "\n  - {caption: b, boosts: {1: 1000}}", 4, "that of shot 1 must lie within -100 to 100"),
    ("size: big\nshots: [{caption: a}]", 1, "size: must be WIDTHxHEIGHT"),
    ("size: 1281x720\nshots: [{caption: a}]", 1, "the width must be even"),
    ("size: 10x10\nshots: [{caption: a}]", 1, "must lie within 64–4096 pixels"),
    ("size: 999999999x720\nshots: [{caption: a}]", 1, "must lie within 64–4096 pixels"),
    ("size: [1280, 720]\nshots: [{caption: a}]", 1, "must be a text, got a list"),
    ("fps: 0\nshots: [{caption: a}]", 1, "fps: must lie within 1–60"),
    ("fps: 1000\nshots: [{caption: a}]", 1, "fps: must lie within 1–60"),
    ("fps: .nan\nshots: [{caption: a}]", 1, "must be a finite number"),
    ("settings: 3\nshots: [{caption: a}]", 1, "settings: expected 'key: value' lines"),
    ("settings:\n  steps: 0\nshots: [{caption: a}]", 2, "settings, steps: must lie within 1–1000"),
    (
        "settings: {full_below: never}\nshots: [{caption: a}]",
        1,
        ": settings, full_below: must be a number of tokens or 'auto', got 'never'",
    ),
    ("fps: fast\nshots: [{caption: a}]", 1, ": fps: must be a number or a fraction"),
    ("fps: 1e999\nshots: [{caption: a}]", 1, ": fps: must be a finite number"),
    ("settings: {full_below: -1}\nshots: [{caption: a}]", 1, "full_below: must lie within 0–999999"),
    (
        "settings: {scheduler: ddim}\nshots: [a]",
        1,
        "scheduler: must be one of euler, unipc, dpm++",
    ),
    (
        "settings:\n  loras:\n  - {file: a}\n  - {file: b, weight: x}\nshots: [a]",
        4,
        "loras, number 2, weight",
    ),
    ("settings: {loras: ink}\nshots: [{caption: a}]", 1, "loras: must be a list"),
    ("settings: {loras: [ink, ink]}\nshots: [{caption: a}]", 1, "the same LoRA is there twice"),
    (SHOT + "first_frame: 1", 3, "first_frame: a shot cannot name itself"),
    (SHOT + "guide_strength: 0.5\n    control_scale: 1", 4, "or is controlled by it, not both"),
    ("cast: [{name: A, picture: a.gif}]\nshots: [{caption: a}]", 1, "must be the path of a picture"),
    (SHOT + "first_frame: start.tiff", 3, "must be previous, the number of an earlier shot, or a picture"),
    ("settings: {looks: never}\nshots: [{caption: a}]", 1, "must be 'first' or 'every'"),
    ("settings: {guidence: 3}\nshots: [{caption: a}]", 1, "did you mean 'guidance'?"),
    (
        "cast: [{name: A}, {name: a}]\nshots: [{caption: a}]",
        1,
        "cast member 2, name: a cannot be told from A",
    ),
    ("cast: [{name: mira's}]\nshots: [{caption: a}]", 1, "cast member 1, name: give mira's without the 's"),
    ("cast: [{name: _}]\nshots: [{caption: a}]", 1, "cast member 1, name: needs a letter or digit"),
    ("cast: [{look: red}]\nshots: [{caption: a}]", 1, "cast member 1: the key 'name' is missing"),
    ("cast: [~]\nshots: [{caption: a}]", 1, "expected 'key: value' lines"),
    ("cast: [{name: A, look: ''}]\nshots: [{caption: a}]", 1, "look: is empty"),
    (
        f"cast: [{'{name: A}, ' * 65}]\nshots: [{{caption: a}}]",
        1,
        "a storyboard holds at most 64 cast members",
    ),
    (f"shots: [{'{caption: a}, ' * 501}]", 1, "at most 500 shots fit, got 501"),
    ("title: " + "x" * 201 + "\nshots: [{caption: a}]", 1, "at most 200 fit"),
    ("title: !!python/object/apply:os.system ['true']\nshots: []", 1, "tags (tag:yaml.org,2002:python"),
    ("title: !x y\nshots: [{caption: a}]", 1, "tags (!x) are not taken"),
    ("title: &a x\nstyle: *a\nshots: [{caption: a}]", 1, "anchors (&a) are not taken"),
    ("title: *a\nshots: [{caption: a}]", 1, "aliases (*a) are not taken"),
    ("<<: {title: x}\nshots: [{caption: a}]", 1, "unknown key"),
    ("? [a]\n: b\n", 1, "a key must be a single word"),
    (BILLION_LAUGHS, 1, "anchors (&a) are not taken"),
    ("[" * 100_000, 1, "nested too deeply"),
    ("{a: " * 50_000, 1, "nested too deeply"),
    ("shots:\n" + "".join(" " * i + "- \n" for i in range(2000)), None, ""),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", None, "is not a text file"),
    (b"title: a\nstyle: \xff\xfe", 2, "is not text in UTF-8"),
    ("title: x".encode("utf-16"), None, "is not"),
    ('shots: [{caption: "a \\ud800"}]', 1, "shot 1, caption: holds a control character"),
    ('shots: [{caption: "a \\x9b2J"}]', 1, "shot 1, caption: holds a control character"),
    ('"\\e[2J": a\nshots: [{caption: a}]', 1, "�[2J: unknown key"),
    (SHOT + 'seconds: "\\e[2J"', 3, "got '�[2J'"),
    (b"title: a\n\nstyle: \x07", 3, "holds the character U+0007"),
    (b"#" * (MAX_BYTES + 1), None, "is larger than 1 MB"),
]


@pytest.mark.parametrize(("text", "line", "says"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_told_in_one_line_with_its_place(
    tmp_path: Path, text: str | bytes, line: int | None, says: str
) -> None:
    with pytest.raises(BadStoryboard) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    path = tmp_path / "story.yaml"
    assert message.startswith(f"{path}:{line}: " if line else str(path))
    assert says in message
    assert message.isprintable()
    assert len(message) < 300 + len(str(path))


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadStoryboard, match="cannot be read"):
        read_storyboard(tmp_path / name)


def complaint(path: Path) -> str:
    """What is wrong with a file; the start of a good message where nothing is."""
    try:
        read_storyboard(path)
    except BadStoryboard as error:
        return str(error)
    return str(path)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_storyboard_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "story.yaml"
    path.write_bytes(b"shots:\n  - caption: a\n" + data)
    message = complaint(path)
    assert message.startswith(str(path))
    assert "\n" not in message


@given(st.text(alphabet="abst: -[]{}'\"\n?&*!#|>%@,3.", max_size=120))
def test_any_scribble_is_a_storyboard_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "story.yaml"
    path.write_text(text)
    message = complaint(path)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_the_examples_are_good() -> None:
    for path in (Path(__file__).parents[3] / "projects" / "examples").glob("*.yaml"):
        board = read_storyboard(path)
        assert board.cast


def _written(tmp_path: Path, text: str | bytes, name: str = "story.yaml") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    first = parse_storyboard(
        """
title: "Two: a story"
size: 640x360
fps: 12
seed: 7
style: warm evening light
settings: {steps: 4, top_k: 2, looks: every, rerender_threshold: 0.2}
cast: [{name: Mira, look: red with a top hat}, {name: "No"}]
shots:
  - {caption: "Mira: waves", seconds: 2.5, seed: 3, lock: true}
  - {caption: "", seconds: 1, skip: yes}
  - {caption: Mira runs, trim: 0.5, pins: [1], bans: [2, 1/Otto]}
  - {caption: Mira runs, pins: ["3/place 1, 2"], boosts: {1: 1.5, 2/Mira: -2}}
""",
        "story.yaml",
    )
    assert parse_storyboard(write_storyboard(first), "again.yaml") == first


def test_a_setting_by_its_old_name_is_read() -> None:
    story = parse_storyboard("settings: {worth: 0.2}\nshots: [{caption: a}]", "x.yaml")
    assert story.settings.rerender_threshold == 0.2


def test_an_empty_project_reads_back() -> None:
    empty = Storyboard(title="Empty")
    assert parse_storyboard(write_storyboard(empty), "again.yaml") == empty


def test_steering_that_sleeps_is_not_written() -> None:
    story = parse_storyboard("shots: [{caption: a}, {caption: b, pins: [1]}]", "x.yaml")
    turned = replace(story, shots=story.shots[::-1])
    assert "pins" not in write_storyboard(turned)


@pytest.mark.parametrize("written", ["23.976", "24000/1001", "24000 / 1001"])
def test_a_broadcast_rate_is_exact_and_comes_back(written: str) -> None:
    board = parse_storyboard(f"title: x\nfps: {written}\nshots: [{{caption: a}}]", "x.yaml")
    assert board.fps == Fraction(24_000, 1001)
    assert "fps: 23.976" in write_storyboard(board)
    assert parse_storyboard(write_storyboard(board), "x.yaml").fps == board.fps


def test_an_odd_rate_comes_back() -> None:
    board = Storyboard(title="x", fps=Fraction(2997, 125))
    assert "fps: 2997/125" in write_storyboard(board)
    assert parse_storyboard(write_storyboard(board), "x.yaml").fps == board.fps


@pytest.mark.parametrize("fps", ["x", "1/0", "'24'", "[24]"])
def test_what_is_no_rate_is_refused_with_its_line(fps: str) -> None:
    with pytest.raises(BadStoryboard, match=r"x\.yaml:2: fps: must be a number or a fraction"):
        parse_storyboard(f"title: x\nfps: {fps}\nshots: [{{caption: a}}]", "x.yaml")


def test_a_name_or_a_caption_may_stand_alone() -> None:
    board = parse_storyboard(
        "cast: [Mira, {name: Otto, look: red}]\nshots: [Mira waves, {caption: Otto sits}]", "x.yaml"
    )
    assert [(member.name, member.look) for member in board.cast] == [("Mira", None), ("Otto", "red")]
    assert [shot.caption for shot in board.shots] == ["Mira waves", "Otto sits"]


def test_a_lora_beside_the_storyboard_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "ink.safetensors").write_bytes(b"")
    (tmp_path / "story.yaml").write_text(
        "settings: {loras: [ink.safetensors, a/b/fast.safetensors]}\n"
        "shots: [{caption: a, loras: [{file: ink.safetensors, weight: 0.5}]}]\n"
    )
    board = read_storyboard(tmp_path / "story.yaml")
    ink = str(tmp_path / "ink.safetensors")
    assert board.settings.loras == (Lora(file=ink), Lora(file="a/b/fast.safetensors"))
    assert board.shots[0].loras == (Lora(file=ink, weight=0.5),)

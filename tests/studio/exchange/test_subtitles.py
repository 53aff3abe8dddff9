from __future__ import annotations

import re
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from studio.exchange.subtitles import Cue, as_srt, as_webvtt, cues_of

CUES = (
    Cue(start=Fraction(0), end=Fraction(3), text="Mira waves"),
    Cue(
        start=Fraction(3),
        end=Fraction(7323, 2),
        text="Mira <b>walks</b> & runs --> away over the wide and windy beach",
    ),
)


def test_srt_reads_as_players_expect() -> None:
    assert as_srt(CUES) == (
        "1\n00:00:00,000 --> 00:00:03,000\nMira waves\n"
        "\n"
        "2\n00:00:03,000 --> 01:01:01,500\n"
        "Mira <b>walks</b> & runs → away over the\nwide and windy beach\n"
    )


def test_webvtt_reads_as_browsers_expect() -> None:
    assert as_webvtt(CUES) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.000 --> 00:00:03.000\nMira waves\n"
        "\n"
        "00:00:03.000 --> 01:01:01.500\n"
        "Mira &lt;b&gt;walks&lt;/b&gt; &amp; runs --&gt; away over the\nwide and windy beach\n"
    )


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_no_caption_makes_a_cue_of_its_own(texts: list[str]) -> None:
    cues = [Cue(start=Fraction(i), end=Fraction(i + 1), text=text) for i, text in enumerate(texts)]
    timing = re.compile(r"^\d\d:\d\d:\d\d[.,]\d{3} --> \d\d:\d\d:\d\d[.,]\d{3}$", re.MULTILINE)
    assert len(timing.findall(as_srt(cues))) == as_srt(cues).count("-->") == len(texts)
    assert len(timing.findall(as_webvtt(cues))) == as_webvtt(cues).count("-->") == len(texts)


@given(st.floats(0, 1e6))
def test_clocks_never_show_sixty(seconds: float) -> None:
    text = as_srt([Cue(start=Fraction(seconds), end=Fraction(seconds), text="x")])
    hours, minutes, rest = text.split("\n")[1].split(" ")[0].split(":")
    assert int(minutes) < 60
    assert int(rest.split(",")[0]) < 60
    shown = int(hours) * 3600 + int(minutes) * 60 + int(rest.split(",")[0]) + int(rest.split(",")[1]) / 1000
    assert abs(shown - seconds) <= 0.000501


def test_cues_do_not_drift_from_the_frames() -> None:
    """At 24000/1001 frames a second, an hour of shots of one frame ends 3.6 s late."""
    cues = cues_of([("x", Fraction(1001, 24000))] * 86_400)
    assert cues[-1].end == Fraction(36_036, 10)
    assert "01:00:03,558 --> 01:00:03,600" in as_srt(cues)

from __future__ import annotations

import pytest

from studio.domain.file_names import slug


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("The Red Kite!", "the-red-kite"),
        ("Café & Ünï", "café-ünï"),
        ("Cafe\u0301", "café"),
        ("世界", "世界"),
        ("红色风筝", "红色风筝"),
        ("Домой!", "домой"),
        ("हिन्दी", "हिन्दी"),
        ("🐢", "film-0fa5e17d"),
        ("../../etc/passwd", "etc-passwd"),
        ("℀ ½", "a-c-1-2"),
        ("a_b", "a-b"),
        ("a" * 200, "a" * 80),
        ("世" * 200, "世" * 53),
    ],
)
def test_a_title_as_a_file_name(title: str, name: str) -> None:
    assert slug(title) == name

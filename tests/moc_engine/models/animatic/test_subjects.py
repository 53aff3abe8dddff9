import torch

from moc_engine.models.animatic.grammar import CAST_TOKENS
from moc_engine.models.animatic.model import build_tokenizer, shot_text
from moc_engine.models.animatic.subjects import ANOTHER, NOBODY, subjects


def _subjects(caption: str) -> list[int]:
    tokenizer = build_tokenizer(longest=32)
    words = tokenizer(shot_text(caption, ("Mira", "Otto", "Bo", "Luna", "Pip"))).input_ids
    names = tokenizer.convert_tokens_to_ids(list(CAST_TOKENS))
    return subjects(torch.tensor([words]), names)[0].tolist()


def test_the_subject_of_a_word_is_the_last_name_numbered_by_first_mention() -> None:
    # <shot> beach , Otto wave and Mira sit . Otto is blue . Mira is red
    assert _subjects("On the beach, Otto waves and Mira sits. Otto is blue. Mira is red") == [
        *(NOBODY, NOBODY, NOBODY),
        *(1, 1, 1),
        *(2, 2, 2),
        *(1, 1, 1, 1),
        *(2, 2, 2),
    ]


def test_characters_beyond_three_share_one_subject() -> None:
    assert _subjects("Mira, Otto, Bo, Luna, Pip")[1::2] == [1, 2, 3, ANOTHER, ANOTHER]


def test_words_without_names_have_no_subject() -> None:
    assert set(_subjects("the beach at night")) == {NOBODY}

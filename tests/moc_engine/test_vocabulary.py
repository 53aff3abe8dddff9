from moc_engine.vocabulary import described_cast, find_names, nearest_word, unknown_words, words


def test_unknown_words_come_with_their_places() -> None:
    caption = "Mira juggles on the beach"
    assert unknown_words(caption, ("Mira",)) == [("juggles", 5, 12)]
    assert caption[5:12] == "juggles"


def test_names_are_found_in_order_and_once() -> None:
    assert find_names(["Zed's kite flies", "Otto jumps and Zed waves", "On the beach"]) == ("Zed", "Otto")


def test_no_more_names_than_cast_tokens() -> None:
    assert len(find_names([f"Name{chr(65 + i)} jumps" for i in range(12)])) == 8


def test_a_misspelt_word_is_recognised_and_a_strange_one_is_not() -> None:
    assert nearest_word("Walkss") == "walks"
    assert nearest_word("unbrella") == "umbrella"
    assert nearest_word("xylophone") is None
    assert nearest_word("palm") is None


def test_words_lists_synonyms_by_kind() -> None:
    assert "seaside" in words()["set"]["beach"]


def test_a_name_is_one_however_it_is_written() -> None:
    assert find_names(["Mira walks", "MIRA jumps"]) == ("Mira",)
    assert find_names(["A" + "b" * 60 + " walks"]) == ()


def test_whose_looks_a_caption_tells() -> None:
    cast = ("Mira", "Otto")
    told = {
        "Mira waves holding a red kite": (),
        "Mira puts on a crown while Otto waves": ("Mira",),
        "Mira waves and Otto runs. Otto is green and round": ("Otto",),
        "Otto is painted blue": ("Otto",),
        "a red ball lies on the beach": (),
        "Mira walks on the beach, the sky is red": (),
        "Mira waves on the blue beach": (),
        "Mira stands beside a red and blue kite": (),
        "Mira walks. A round ball rolls": (),
        "A red Mira waves": ("Mira",),
        "Mira is red and Otto waves": ("Mira",),
        "Mira holding a red kite puts on a crown": ("Mira",),
    }
    assert {caption: described_cast(caption, cast) for caption in told} == told


def test_vowel_signs_belong_to_their_word() -> None:
    assert [word for word, _, _ in unknown_words("मीरा समुद्र तट पर", ("मीरा",))] == ["समुद्र", "तट", "पर"]

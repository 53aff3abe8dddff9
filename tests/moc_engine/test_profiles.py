import pytest

from moc_engine.profiles import GIB, PROFILE_NAMES, PROFILES, SHARED, next_lower, profile_named


@pytest.mark.parametrize(
    ("gibibytes", "name"),
    [
        (139, "80gb"),
        (79.2, "80gb"),
        (47.5, "48gb"),
        (23.6, "24gb"),
        (15.7, "12gb"),
        (11.6, "12gb"),
        (7.7, "8gb"),
    ],
)
def test_auto_goes_by_the_memory_of_a_gpu(gibibytes: float, name: str) -> None:
    assert profile_named("auto", "cuda", int(gibibytes * GIB)).name == name


def test_devices_that_share_the_machines_memory_move_nothing() -> None:
    assert profile_named("auto", "cpu", 8 * GIB) == SHARED
    assert profile_named("auto", "mps", 8 * GIB) == SHARED
    assert next_lower(SHARED) is None


def test_profiles_are_named_and_ordered() -> None:
    assert PROFILE_NAMES == ("auto", "80gb", "48gb", "24gb", "12gb", "8gb")
    assert [profile_named(name, "cuda", 0) for name in PROFILE_NAMES[1:]] == list(PROFILES)
    assert [next_lower(profile) for profile in PROFILES] == [*PROFILES[1:], None]
    for name in ("16gb", "24gb+int4", "24gb+"):
        with pytest.raises(ValueError, match="profile: auto, 80gb, 48gb, 24gb, 12gb, 8gb, each also with"):
            profile_named(name, "cuda", 0)


def test_the_form_of_weights_can_be_another_one() -> None:
    profile = profile_named("24gb+int8", "cuda", 0)
    assert (profile.name, profile.weights, profile.tile) == ("24gb+int8", "int8", 512)
    lower = next_lower(profile)
    assert lower is not None
    assert (lower.name, lower.weights) == ("12gb+int8", "int8")
    assert profile_named("auto+full", "cuda", 24 * GIB).name == "24gb+full"
    assert profile_named("auto+int8", "cpu", 0).weights == "int8"


def test_each_profile_says_what_it_does() -> None:
    assert str(PROFILES[0]) == "weights in full precision"
    assert str(PROFILES[-1]).split("; ") == [
        "the transformer's weights in 8-bit floats",
        "captions are encoded layer by layer, and the text encoder is freed",
        "the transformer is copied to the device one block at a time",
        "guided steps run in two passes",
        "frames are decoded in tiles of 256 pixels",
    ]
    assert len({str(profile) for profile in PROFILES}) == len(PROFILES)

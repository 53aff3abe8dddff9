"""Profiles: how a model is made to fit a device's memory, and what it will need. No torch.

A profile says in which form the weights lie, which parts leave the device while others work, and how pictures
are decoded. `auto` chooses by the memory of the device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

Weights = Literal["full", "fp8", "int8"]
"""`full` is bfloat16 (float32 on a CPU); `fp8` keeps the weights of the transformers' linear layers in 8-bit
floats and computes as `full` does; `int8` keeps them in 8-bit integers, with scales."""

Residence = Literal["stays", "visits", "freed", "groups", "streamed"]
"""Where a part lies: on the device; there only while it works, in main memory else; the same, but given up
and read from its files again; in main memory, a few blocks at a time being copied over ahead of use; or the
same layer by layer, and given up."""

GIB: Final = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One way to fit a model to a device that has `gibibytes` of memory or more.

    With `two_passes`, guided steps run the caption and what it guides away from one after the other. Frames
    are decoded in tiles of `tile` pixels a side, or whole where None.
    """

    name: str
    gibibytes: float
    weights: Weights = "full"
    text_encoder: Residence = "stays"
    transformer: Residence = "stays"
    blocks_per_group: int = 1
    two_passes: bool = False
    autoencoder: Residence = "stays"
    tile: int | None = None

    def __str__(self) -> str:
        """What the profile does, in words."""
        weights = {
            "full": "weights in full precision",
            "fp8": "the transformer's weights in 8-bit floats",
            "int8": "the transformer's weights in 8-bit integers",
        }
        said = [weights[self.weights]]
        if self.text_encoder == "visits":
            said.append("the text encoder leaves the device once captions are encoded")
        if self.text_encoder == "streamed":
            said.append("captions are encoded layer by layer, and the text encoder is freed")
        if self.text_encoder == "freed":
            said.append("the text encoder is freed once captions are encoded")
        if self.transformer == "visits":
            said.append("of several transformers one at a time is on the device")
        if self.transformer == "groups":
            blocks = "one block" if self.blocks_per_group == 1 else f"{self.blocks_per_group} blocks"
            said.append(f"the transformer is copied to the device {blocks} at a time")
        if self.two_passes:
            said.append("guided steps run in two passes")
        if self.tile is not None:
            said.append(f"frames are decoded in tiles of {self.tile} pixels")
        return "; ".join(said)


SHARED: Final = Profile(name="shared", gibibytes=0)
"""For devices that share the machine's memory: nothing is moved, for there is nowhere to move it."""

PROFILES: Final = (
    Profile(name="80gb", gibibytes=70),
    Profile(name="48gb", gibibytes=40, text_encoder="visits", transformer="visits", autoencoder="visits"),
    Profile(
        name="24gb",
        gibibytes=20,
        weights="fp8",
        text_encoder="freed",
        transformer="visits",
        two_passes=True,
        autoencoder="visits",
        tile=512,
    ),
    Profile(
        name="12gb",
        gibibytes=10,
        weights="fp8",
        text_encoder="streamed",
        transformer="groups",
        blocks_per_group=4,
        two_passes=True,
        autoencoder="visits",
        tile=256,
    ),
    Profile(
        name="8gb",
        gibibytes=0,
        weights="fp8",
        text_encoder="streamed",
        transformer="groups",
        two_passes=True,
        autoencoder="visits",
        tile=256,
    ),
)
"""From the one that moves nothing to the one that needs least."""

PROFILE_NAMES: Final = ("auto", *(profile.name for profile in PROFILES))


def profile_named(name: str, device: str, memory: int) -> Profile:
    """The profile of a name for a device such as "cuda" with so many bytes of memory; "auto" chooses by them.

    A name may end in the form of weights to have instead of the profile's: "24gb+int8". Raises `ValueError`
    for a name that there is not.
    """
    check_profile(name)
    base, _, weights = name.partition("+")
    if base == "auto":
        chosen = SHARED
        if device == "cuda":
            chosen = next(profile for profile in PROFILES if memory >= profile.gibibytes * GIB)
    else:
        chosen = next(profile for profile in (*PROFILES, SHARED) if profile.name == base)
    return _with_weights(chosen, weights)


def check_profile(name: str) -> str:
    """The name, if it is one of a profile. Raises `ValueError` that says which there are."""
    base, plus, weights = name.partition("+")
    if base not in (*PROFILE_NAMES, SHARED.name) or (plus and weights not in get_args(Weights)):
        names, forms = ", ".join(PROFILE_NAMES), ", +".join(get_args(Weights))
        raise ValueError(f"profile: {names}, each also with +{forms}, got {name!r}")
    return name


def next_lower(profile: Profile) -> Profile | None:
    """The profile that needs less memory by one step; None where there is none."""
    base, _, weights = profile.name.partition("+")
    names = [other.name for other in PROFILES]
    if base not in names[:-1]:
        return None
    return _with_weights(PROFILES[names.index(base) + 1], weights)


def _with_weights(profile: Profile, weights: str) -> Profile:
    for form in get_args(Weights):
        if form == weights:
            return replace(profile, name=f"{profile.name}+{form}", weights=form)
    return profile

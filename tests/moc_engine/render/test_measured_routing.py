"""Traces against a recount of every single share, and steering against what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moc_engine.config import PartSteering, RoutingChoice, SamplerChoice, Steering
from moc_engine.contract import ContextTake, RenderRequest
from moc_engine.models.animatic.model import save
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import tiny_animatic
from tests.fakes.recording import EveryShare, recorded

STEPS = 6  # in 4 groups, of unlike sizes
SHORT = SamplerChoice(steps=2, guidance=1.5)
CAST = ("Mira", "Otto")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(tiny_animatic(), folder)
    return folder


@pytest.fixture(scope="module")
def backbone(model: Path) -> Backbone:
    return load_backbone(model, "cpu")


@pytest.fixture(scope="module")
def context(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ContextTake, ...]:
    """Three takes; the first is twice as long as the others."""
    renderer, folder = ShotRenderer(model, device="cpu"), tmp_path_factory.mktemp("takes")
    takes: list[ContextTake] = []
    for shot in range(3):
        wanted = request(folder / str(shot), takes, shot=shot, seconds=0.5 if shot else 1.0)
        for _ in renderer.render(wanted):
            pass
        takes.append(
            ContextTake(
                id=f"take {shot}",
                shot=shot,
                latents=LocalFile(wanted.output / "latents.safetensors"),
                caption=wanted.caption,
                global_caption=wanted.global_caption,
                cast=wanted.cast,
                seconds=wanted.seconds,
            )
        )
    return tuple(takes)


def request(output: Path, context: Sequence[ContextTake], **changes: Any) -> RenderRequest:
    told: dict[str, Any] = {
        "shot": 3,
        "caption": "Mira walks right on the beach",
        "global_caption": "",
        "cast": CAST,
        "seconds": 1.0,
        "fps": 2.0,
        "size": (64, 36),
        "previews": 0,
        "seed": 7,
        "output": output,
        "context": tuple(context),
        "sampler": SamplerChoice(steps=STEPS, guidance=1.5),
    }
    return RenderRequest(**{**told, **changes})


Rendered = tuple[RoutingTrace, EveryShare]


@pytest.fixture(scope="module", params=["track", "frame"])
def rendered(
    request: pytest.FixtureRequest, backbone: Backbone, context: tuple[ContextTake, ...]
) -> Rendered:
    return recorded(backbone, wanted(context, routing=RoutingChoice(chunking=request.param)))


def wanted(context: Sequence[ContextTake], **changes: Any) -> RenderRequest:
    return request(Path(), context, **changes)


def test_every_query_shares_out_all_of_its_attention(rendered: Rendered) -> None:
    _, every = rendered
    assert every.shares.sum(axis=-1) == pytest.approx(1, abs=1e-4)
    assert (every.shares[..., 1:] > 0).any()


def test_the_table_the_picks_and_the_token_map_are_what_was_counted(rendered: Rendered) -> None:
    trace, every = rendered
    starts = np.cumsum([0, *(chunk.tokens for chunk in trace.query)]).tolist()
    assert trace.step_groups == ((0, 2), (2, 3), (3, 5), (5, 6))
    for group, (first, stop) in enumerate(trace.step_groups):
        for query in range(len(trace.query)):
            tokens = slice(starts[query], starts[query + 1])
            part = every.shares[:, first:stop, :, tokens]  # layers, steps, heads, tokens, chunks
            assert trace.table[:, :, group, query] / 65535 == pytest.approx(part.mean(axis=(1, 3)), abs=1e-4)
            picked = every.picks[:, first:stop, :, tokens].sum(axis=(1, 3))
            assert np.array_equal(trace.picks[:, :, group, query], picked)
    assert trace.token_map() == pytest.approx(every.shares.mean(axis=(0, 1, 2)), abs=1e-4)
    assert trace.shares() == pytest.approx(every.shares.mean(axis=(0, 1, 2, 3)), abs=1e-4)


def test_links_and_what_stayed_are_what_was_counted(rendered: Rendered) -> None:
    trace, every = rendered
    mean = every.shares.mean(axis=(0, 1, 2, 3))
    assert trace.own_share() == pytest.approx(mean[0], abs=1e-4)
    by_shot = {shot: mean[columns_of(trace, shot)].sum() for shot in range(3)}
    assert trace.shot_shares() == pytest.approx(by_shot, abs=1e-4)
    assert {link.take: link.share for link in trace.links()} == pytest.approx(
        {f"take {shot}": share for shot, share in by_shot.items() if share > 0}, abs=1e-4
    )


def test_a_render_writes_the_trace_that_was_recounted(
    model: Path, backbone: Backbone, context: tuple[ContextTake, ...], tmp_path: Path
) -> None:
    for _ in ShotRenderer(model, device="cpu").render(request(tmp_path, context)):
        pass
    written = read_trace(tmp_path / "trace.moc")
    trace, _ = recorded(backbone, wanted(context))
    assert written.query == trace.query
    assert written.context == trace.context
    assert np.array_equal(written.picks, trace.picks)
    for name in ("table", "token_table"):  # the numbers of threads may differ, and with them the last bits
        np.testing.assert_allclose(getattr(written, name).astype(int), getattr(trace, name), rtol=0, atol=1)


def columns_of(trace: RoutingTrace, shot: int, name: str | None = None) -> list[int]:
    return [
        column
        for column, chunk in enumerate(trace.context)
        if chunk.kind == "history" and chunk.shot == shot and name in (None, chunk.name)
    ]


@pytest.mark.parametrize("backend", ["auto", "naive", "grouped"])
def test_a_banned_shot_gets_nothing_from_anyone(
    backbone: Backbone, context: tuple[ContextTake, ...], backend: str
) -> None:
    told = {"routing": RoutingChoice(backend=backend), "sampler": SHORT}
    free, _ = recorded(backbone, wanted(context, **told))
    trace, every = recorded(backbone, wanted(context, **told, steering=Steering(bans=(1,))))
    columns = columns_of(trace, 1)
    assert free.table[..., columns].any()
    assert not every.shares[..., columns].any()
    assert not every.picks[..., columns].any()
    assert not trace.table[..., columns].any()
    assert not trace.token_table[:, columns].any()
    assert trace.shares().sum() == pytest.approx(1)


@pytest.mark.parametrize("backend", ["auto", "naive", "grouped"])
def test_a_pinned_shot_is_among_the_keys_of_every_token(
    backbone: Backbone, context: tuple[ContextTake, ...], backend: str
) -> None:
    told = {"routing": RoutingChoice(backend=backend, top_k=1), "sampler": SHORT}
    free, _ = recorded(backbone, wanted(context, **told))
    trace, every = recorded(backbone, wanted(context, **told, steering=Steering(pins=(0,))))
    columns = columns_of(trace, 0)
    assert not free.table[..., columns].all()
    assert (every.shares[..., columns] > 0).all()
    assert not every.picks[..., columns].any()  # pinned, not chosen
    assert trace.table[..., columns].all()
    assert trace.token_table[:, columns].all()


def test_a_banned_part_gets_nothing_and_a_pinned_one_something_from_all(
    backbone: Backbone, context: tuple[ContextTake, ...]
) -> None:
    free, _ = recorded(backbone, wanted(context))
    banned, pinned = ((shot, free.context[columns_of(free, shot)[1]].name) for shot in (2, 0))
    parts = PartSteering(bans=(banned,), pins=(pinned,))
    trace, every = recorded(backbone, wanted(context, parts=parts, routing=RoutingChoice(top_k=1)))
    without, within = columns_of(trace, *banned), columns_of(trace, *pinned)
    assert free.table[..., without].any()
    assert not every.shares[..., without].any()
    assert (every.shares[..., within] > 0).all()
    assert trace.table[..., within].all()
    assert trace.token_table[:, within].all()
    others = [column for column in columns_of(trace, 2) if column not in without]
    assert trace.table[..., others].any()  # the rest of the shot stays open


def test_a_ban_that_leaves_nothing_renders(
    model: Path, context: tuple[ContextTake, ...], tmp_path: Path
) -> None:
    steering = Steering(bans=(0, 1, 2))
    for _ in ShotRenderer(model, device="cpu").render(request(tmp_path, context, steering=steering)):
        pass
    trace = read_trace(tmp_path / "trace.moc")
    assert trace.own_share() == 1
    assert trace.links() == ()
    assert trace.steering["bans"] == [0, 1, 2]

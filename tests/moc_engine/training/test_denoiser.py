import torch

from moc_engine.models.animatic.marks import with_marks
from moc_engine.models.animatic.model import ModelConfig, build, encode_words
from moc_engine.models.animatic.scene import SLOTS
from moc_engine.training.data.stories import StoryBatch, StoryStream
from moc_engine.training.denoiser import StoryDenoiser
from moc_engine.training.schedule import Stage
from moc_engine.training.story_rules import StoryRules

TINY = ModelConfig(layers=2, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
STAGE = Stage(until=1.0, shots=(3, 3), frames=(2, 2), cast=(2, 2), tokens=2 * 3 * 2 * SLOTS, top_k=None)


def _parts() -> tuple[StoryDenoiser, StoryBatch]:
    torch.manual_seed(0)
    model = build(TINY)
    batch = StoryStream(model.tokenizer, (STAGE,), steps=1, seed=0).batch(0)
    torch.nn.init.normal_(model.smoother.out.weight, std=0.1)
    return StoryDenoiser(model.transformer, model.smoother, model.text_encoder).eval(), batch


@torch.no_grad()
def _predict(denoiser: StoryDenoiser, batch: StoryBatch, *, silent: bool = False) -> torch.Tensor:
    stories, shots = batch.latents.shape[:2]
    predicted: torch.Tensor = denoiser(
        batch,
        clean=batch.latents[:, :-1],
        noisy=batch.latents * 0.5,
        clean_level=torch.zeros(stories, shots - 1),
        noise_level=torch.full((stories, shots), 0.5),
        without_caption=torch.full((stories, shots), silent),
        starts=torch.arange(shots) * 2,
        rules=StoryRules(routing=None),
    )
    return predicted


def test_a_first_shot_is_predicted_as_transformer_and_smoother_themselves_do() -> None:
    denoiser, batch = _parts()
    predicted = _predict(denoiser, batch)
    for story in range(2):
        words = [row[row != 0][None] for row in (batch.story_words[story], batch.shot_words[3 * story])]
        with torch.no_grad():
            states = [encode_words(denoiser.text_encoder, w)[0] for w in words]
            noisy = batch.latents[story, 0].permute(2, 0, 1)[None, ..., None] * 0.5
            out = denoiser.transformer(
                with_marks(noisy), torch.tensor([500.0]), torch.cat(states, dim=1), return_dict=False
            )[0]
            out = denoiser.smoother(out)
        expected = out[0, ..., 0].permute(1, 2, 0)
        torch.testing.assert_close(predicted[story, 0], expected, atol=1e-4, rtol=1e-3)


def test_silent_shots_do_not_hear_their_captions() -> None:
    denoiser, batch = _parts()
    other = StoryBatch(
        latents=batch.latents,
        story_words=batch.story_words,
        shot_words=torch.cat((batch.shot_words[:-1].roll(1, dims=0), batch.shot_words[-1:])),
    )
    heard, unheard = _predict(denoiser, batch), _predict(denoiser, other)
    assert not torch.allclose(heard[:, 0], unheard[:, 0], atol=1e-4)
    heard, unheard = _predict(denoiser, batch, silent=True), _predict(denoiser, other, silent=True)
    torch.testing.assert_close(heard[:, 0], unheard[:, 0])


def test_the_transformer_keeps_its_own_processors() -> None:
    denoiser, batch = _parts()
    before = [block.attn1.processor for block in denoiser.transformer.blocks]
    _predict(denoiser, batch)
    assert [block.attn1.processor for block in denoiser.transformer.blocks] == before

import random

import pytest
import torch

from runners.inference import prefix_attention
from runners.inference.batch_model import BatchModel
from runners.inference.packed import PackedRows
from runners.inference.prefix_cache import PrefixNode
from tests.runners.inference.tiny_models import loaded, random_model

DRAW = random.Random(2)
PREAMBLE, EXAMPLES, OTHERS = (tuple(DRAW.choices(range(3, 300), k=n)) for n in (30, 25, 40))
QUESTIONS = [tuple(DRAW.choices(range(3, 300), k=n)) for n in (7, 2, 3, 60, 1)]
ARCHITECTURES = ["llama", "mistral", "qwen2", "qwen3", "granite", "gpt2", "gemma3"]


def alone(batch_model: BatchModel, text: tuple[int, ...]) -> torch.Tensor:
    """Return the logits after a text alone, from the unpatched model."""
    return random_model(batch_model.model.config.model_type.replace("_text", ""))(
        input_ids=torch.tensor([text])
    ).logits[0, -1]


def assert_same(logits: torch.Tensor, batch_model: BatchModel, texts: list[tuple[int, ...]]) -> None:
    expected = torch.stack([alone(batch_model, text) for text in texts])
    assert ((logits - expected).norm(dim=-1) / expected.norm(dim=-1)).max() < 1e-5


def cached(batch_model: BatchModel, *parts: tuple[int, ...]) -> PrefixNode:
    prefix = PrefixNode()
    for part in parts:
        prefix = batch_model._packed.prefill_prefix(prefix, part)
    return prefix


@pytest.fixture(params=ARCHITECTURES)
def batch_model(request: pytest.FixtureRequest):
    with torch.inference_mode():
        made = BatchModel(loaded(random_model(request.param)))
        assert made.not_shared_because is None
        yield made


@pytest.mark.parametrize("is_fused", [True, False])
def test_packed_rows_after_cached_prefixes_get_the_logits_they_get_alone(
    batch_model: BatchModel, is_fused: bool, monkeypatch: pytest.MonkeyPatch
):
    if not is_fused:  # as on a GPU, and each query by itself
        monkeypatch.setattr(prefix_attention, "_is_fused", lambda query, values: False)
        monkeypatch.setattr(prefix_attention, "MAX_SCORES", 1)
    preamble = cached(batch_model, PREAMBLE)
    examples = batch_model._packed.prefill_prefix(preamble, EXAMPLES)
    others = cached(batch_model, OTHERS)
    prefixes = [
        (examples, PREAMBLE + EXAMPLES),
        (preamble, PREAMBLE),
        (examples, PREAMBLE + EXAMPLES),
        (others, OTHERS),
        (PrefixNode(), ()),
    ]
    texts = [before + question for (_, before), question in zip(prefixes, QUESTIONS, strict=True)]
    rows = PackedRows(batch_model._packed)
    assert_same(
        rows.prefill([(prefix, text) for (prefix, _), text in zip(prefixes, texts, strict=True)]),
        batch_model,
        texts,
    )
    for tokens in ([5, 9, 20, 31, 47], [6, 250, 8, 3, 4]):
        texts = [(*text, token) for text, token in zip(texts, tokens, strict=True)]
        assert_same(rows.decode(tokens), batch_model, texts)


def test_packed_rows_of_equal_length_get_the_logits_they_get_alone(batch_model: BatchModel):
    prefix, texts = cached(batch_model, PREAMBLE), [PREAMBLE + QUESTIONS[3][at : at + 5] for at in (0, 5, 30)]
    assert_same(
        PackedRows(batch_model._packed).prefill([(prefix, text) for text in texts]), batch_model, texts
    )


def test_rows_join_and_leave_a_batch_without_changing_the_logits_of_others(batch_model: BatchModel):
    prefix = cached(batch_model, PREAMBLE, EXAMPLES)
    texts = {name: PREAMBLE + EXAMPLES + question for name, question in enumerate(QUESTIONS)}
    rows, names = PackedRows(batch_model._packed), [0, 1, 2]
    rows.prefill([(prefix, texts[name]) for name in names])
    draw = random.Random(5)
    for out, come in (({0}, [3]), ({0, 2}, []), (set(), [4, 0]), ({1}, [])):
        names = [names[at] for at in rows.release(out)]
        if come:
            assert_same(
                rows.prefill([(prefix, texts[name]) for name in come]),
                batch_model,
                [texts[name] for name in come],
            )
            names += come
        for _ in range(40):  # longer than the columns allocated at first
            tokens = [draw.randrange(3, 300) for _ in names]
            logits = rows.decode(tokens)
            texts |= {name: (*texts[name], token) for name, token in zip(names, tokens, strict=True)}
        assert_same(logits, batch_model, [texts[name] for name in names])


def test_the_last_rows_move_to_the_slots_of_released_ones(batch_model: BatchModel):
    rows = PackedRows(batch_model._packed)
    rows.prefill([(PrefixNode(), question) for question in QUESTIONS])
    assert rows.release({1, 4}) == [0, 3, 2]
    assert rows.release(set()) == [0, 1, 2]
    assert rows.release({0, 1, 2}) == []


def test_many_rows_are_prefilled_in_passes_of_bounded_size(
    batch_model: BatchModel, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("runners.inference.packed.MAX_TOKENS", 20)
    rows, n_tokens = PackedRows(batch_model._packed), []
    batch_model.model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: n_tokens.append(inputs[0].numel())
    )
    assert_same(rows.prefill([(PrefixNode(), question) for question in QUESTIONS]), batch_model, QUESTIONS)
    assert n_tokens == [12, 60, 1]

import random

import pytest
import torch

from runners.inference import prefix_attention as shared_attention
from runners.inference.batch_model import BatchModel
from runners.inference.packed import PackedRows
from runners.inference.prefix_cache import PrefixNode
from tests.runners.inference.tiny_models import loaded, random_model

DRAW = random.Random(2)
PREAMBLE, EXAMPLES, OTHERS = (tuple(DRAW.choices(range(3, 300), k=n)) for n in (30, 25, 40))
QUESTIONS = [tuple(DRAW.choices(range(3, 300), k=n)) for n in (7, 2, 3, 60, 1)]
ARCHITECTURES = ["llama", "mistral", "qwen2", "qwen3", "granite", "gpt2", "gemma3"]


def alone(reader: BatchModel, text: tuple[int, ...]) -> torch.Tensor:
    """Logits after a text that is read by itself, in the ordinary way."""
    return random_model(reader.model.config.model_type.replace("_text", ""))(
        input_ids=torch.tensor([text])
    ).logits[0, -1]


def assert_same(logits: torch.Tensor, reader: BatchModel, texts: list[tuple[int, ...]]) -> None:
    expected = torch.stack([alone(reader, text) for text in texts])
    assert ((logits - expected).norm(dim=-1) / expected.norm(dim=-1)).max() < 1e-5


def stretch(reader: BatchModel, *parts: tuple[int, ...]) -> PrefixNode:
    below = PrefixNode()
    for part in parts:
        below = reader._packed.stretch(below, part)
    return below


@pytest.fixture(params=ARCHITECTURES)
def reader(request: pytest.FixtureRequest):
    with torch.inference_mode():
        made = BatchModel(loaded(random_model(request.param)))
        assert made.not_shared_because is None
        yield made


@pytest.mark.parametrize("is_fused", [True, False])
def test_rows_behind_prefixes_get_the_logits_they_get_alone(
    reader: BatchModel, is_fused: bool, monkeypatch: pytest.MonkeyPatch
):
    if not is_fused:  # as on a GPU, and each query by itself
        monkeypatch.setattr(shared_attention, "_is_fused", lambda query, values: False)
        monkeypatch.setattr(shared_attention, "MAX_SCORES", 1)
    preamble = stretch(reader, PREAMBLE)
    examples = reader._packed.stretch(preamble, EXAMPLES)
    others = stretch(reader, OTHERS)
    behind = [
        (examples, PREAMBLE + EXAMPLES),
        (preamble, PREAMBLE),
        (examples, PREAMBLE + EXAMPLES),
        (others, OTHERS),
        (PrefixNode(), ()),
    ]
    texts = [before + question for (_, before), question in zip(behind, QUESTIONS, strict=True)]
    rows = PackedRows(reader._packed)
    assert_same(
        rows.add([(below, text) for (below, _), text in zip(behind, texts, strict=True)]), reader, texts
    )
    for tokens in ([5, 9, 20, 31, 47], [6, 250, 8, 3, 4]):
        texts = [(*text, token) for text, token in zip(texts, tokens, strict=True)]
        assert_same(rows.step(tokens), reader, texts)


def test_rows_of_equal_length_get_the_logits_they_get_alone(reader: BatchModel):
    below, texts = stretch(reader, PREAMBLE), [PREAMBLE + QUESTIONS[3][at : at + 5] for at in (0, 5, 30)]
    assert_same(PackedRows(reader._packed).add([(below, text) for text in texts]), reader, texts)


def test_rows_come_and_go_and_the_others_do_not_notice(reader: BatchModel):
    below = stretch(reader, PREAMBLE, EXAMPLES)
    texts = {name: PREAMBLE + EXAMPLES + question for name, question in enumerate(QUESTIONS)}
    rows, names = PackedRows(reader._packed), [0, 1, 2]
    rows.add([(below, texts[name]) for name in names])
    draw = random.Random(5)
    for out, come in (({0}, [3]), ({0, 2}, []), (set(), [4, 0]), ({1}, [])):
        names = [names[at] for at in rows.drop(out)]
        if come:
            assert_same(
                rows.add([(below, texts[name]) for name in come]), reader, [texts[name] for name in come]
            )
            names += come
        for _ in range(40):  # longer than the columns that are made at first
            tokens = [draw.randrange(3, 300) for _ in names]
            logits = rows.step(tokens)
            texts |= {name: (*texts[name], token) for name, token in zip(names, tokens, strict=True)}
        assert_same(logits, reader, [texts[name] for name in names])


def test_the_last_rows_fill_the_holes(reader: BatchModel):
    rows = PackedRows(reader._packed)
    rows.add([(PrefixNode(), question) for question in QUESTIONS])
    assert rows.drop({1, 4}) == [0, 3, 2]
    assert rows.drop(set()) == [0, 1, 2]
    assert rows.drop({0, 1, 2}) == []


def test_many_rows_are_read_in_passes_of_bounded_size(reader: BatchModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runners.inference.packed.MAX_TOKENS", 20)
    rows, read = PackedRows(reader._packed), []
    reader.model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: read.append(inputs[0].numel())
    )
    assert_same(rows.add([(PrefixNode(), question) for question in QUESTIONS]), reader, QUESTIONS)
    assert read == [12, 60, 1]

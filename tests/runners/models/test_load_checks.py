"""Checkpoints whose parts do not fit together: mended with a remedy that is recorded, or refused in a
sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.data.records import Prompt
from dsl.engines.contract import Decoding
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from runners.engines.contract import EngineAnswer, EngineRequest
from runners.engines.transformers import Engine
from runners.models import load_checks, loading
from runners.models.loading import Loaded
from runners.prompting.tokens import end_of_answer, render
from tests.runners.checkpoints import BYTES, CHATML, llama, saved, tokenizer

CHAT = Prompt(messages=(("user", "Why?"),))
TEXT = Prompt(text="Why?")


def load(folder: Path, **settings: Any) -> Loaded:
    return loading.load(Weights(path=str(folder), **settings), None, folder)


def ask(folder: Path, *prompts: Prompt, **decoding: Any) -> list[EngineAnswer]:
    engine = Engine(Weights(path=str(folder)), None, folder)
    requests = [EngineRequest(key=str(at), prompt=prompt) for at, prompt in enumerate(prompts)]
    return sorted(
        engine.generate(requests, Decoding.model_validate({"max_new_tokens": 4, **decoding})),
        key=lambda answer: answer.key,
    )


def test_a_padding_token_beyond_the_embedding_is_replaced_and_the_remedy_recorded(tmp_path: Path) -> None:
    """Llama 2 with an added [PAD]: pad 32000, 32000 embeddings."""
    folder = saved(
        tmp_path,
        llama(BYTES + 2),
        tokenizer("<s>", "</s>", "[PAD]", bos_token="<s>", eos_token="</s>", pad_token="[PAD]"),
    )
    loaded = load(folder)
    assert loaded.pad_id < BYTES + 2
    assert loaded.pad_id not in loaded.eos_ids
    assert loaded.remedies == (
        (
            f"the padding token's id is {BYTES + 2} and the embedding ends at {BYTES + 1}: {loaded.pad_id}"
            " pads instead"
        ),
    )


def test_chat_tokens_that_the_embedding_lacks_are_named_and_a_text_prompt_is_answered(tmp_path: Path) -> None:
    """ChatML tokens added to the tokenizer, embedding not resized."""
    made = tokenizer(
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", chat_template=CHATML, eos_token="<|endoftext|>"
    )
    folder = saved(tmp_path, llama(BYTES + 1), made)
    assert ask(folder, TEXT)[0].text is not None
    with pytest.raises(
        DataError, match=r"no embedding for `<\|im_start\|>` \(257\).*tokenizer has 259 tokens.*embedding 257"
    ):
        ask(folder, CHAT)


def test_an_added_token_that_no_prompt_holds_stops_nothing_and_one_that_a_question_holds_costs_its_row(
    tmp_path: Path,
) -> None:
    """Gemma 3 270M: the tokenizer has a token for images, the embedding of the text model does not."""
    from tokenizers import AddedToken

    made = tokenizer(
        "</s>", eos_token="</s>", chat_template="{% for m in messages %}{{ m.content }}</s>{% endfor %}"
    )
    made.add_tokens([AddedToken("<image>", special=False)])
    fine, without = ask(
        saved(tmp_path, llama(BYTES + 1), made), CHAT, Prompt(messages=(("user", "An <image>"),))
    )
    assert fine.text is not None
    assert (without.text, without.finish_reason) == (None, "error")
    assert "no embedding for `<image>` (257)" in str(without.error)


def test_a_beginning_of_text_beyond_the_embedding_is_refused(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    made = tokenizer("</s>", "<s>", bos_token="<s>", eos_token="</s>")
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", BYTES + 1)]
    )
    with pytest.raises(DataError, match="no embedding for `<s>`"):
        load(saved(tmp_path, llama(BYTES + 1), made))


def test_generation_settings_that_transformers_does_not_save_are_dropped_and_named(tmp_path: Path) -> None:
    """Llama 2 chat: a temperature and a top_p beside greedy decoding."""
    folder = saved(tmp_path, llama(BYTES + 1), tokenizer("</s>", eos_token="</s>"))
    (folder / "generation_config.json").write_text(
        json.dumps({"do_sample": False, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 256})
    )
    loaded = load(folder)
    loaded.model.save_pretrained(tmp_path / "again")
    assert loaded.eos_ids == {256}
    assert loaded.remedies == (
        "the generation settings contradict each other, so these are dropped: temperature, top_p",
    )


@pytest.mark.parametrize(
    ("templates", "used"),
    [
        ({"chat": CHATML, "tool_use": "t"}, "chat"),
        ({"default": CHATML, "chat": "c"}, None),
        ({"rag": "r", "plain": CHATML}, "plain"),
    ],
)
def test_of_named_templates_the_one_for_messages_is_used(
    tmp_path: Path, templates: dict[str, str], used: str | None
) -> None:
    made = tokenizer("<|im_start|>", "<|im_end|>", eos_token="<|im_end|>", chat_template=templates)
    loaded = load(saved(tmp_path, llama(BYTES + 2), made))
    assert render(loaded.tokenizer, CHAT) == "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    assert [used] == [
        name for name in ("chat", "plain") if loaded.remedies and f", {name} is used" in loaded.remedies[0]
    ] or used is None


def test_several_templates_of_which_none_is_the_default_are_refused_by_name(tmp_path: Path) -> None:
    made = tokenizer("</s>", eos_token="</s>", chat_template={"long": CHATML, "short": CHATML})
    with pytest.raises(DataError, match="the chat templates long, short, and none of them is called default"):
        load(saved(tmp_path, llama(BYTES + 1), made))


def test_a_template_that_fails_is_told_when_the_model_is_asked_through_it(tmp_path: Path) -> None:
    made = tokenizer("</s>", eos_token="</s>", chat_template="{{ raise_exception('only tools') }}")
    folder = saved(tmp_path, llama(BYTES + 1), made)
    assert ask(folder, TEXT)[0].text is not None
    with pytest.raises(DataError, match="its chat template fails on a question and an answer: only tools"):
        ask(folder, CHAT)


# ---------------------------------------------------------------- where a turn ends


def test_generation_stops_where_the_template_ends_a_turn_and_training_teaches_that_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Llama-3-8B-Instruct as first released: turns end with <|eot_id|>, the end that is named is
    <|end_of_text|>."""
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}<|eot_id|>{% endfor %}"
    made = tokenizer("<|end_of_text|>", "<|eot_id|>", eos_token="<|end_of_text|>", chat_template=template)
    loaded = load(saved(tmp_path, llama(BYTES + 2), made))
    assert loaded.eos_ids == {BYTES, BYTES + 1}
    assert "ends a turn with `<|eot_id|>`" in loaded.remedies[0]
    assert f"{tmp_path}: {loaded.remedies[0]}" in caplog.messages, "a warning says it"
    assert end_of_answer(loaded.tokenizer, loaded.eos_ids, is_chat=True).token == BYTES + 1
    assert end_of_answer(loaded.tokenizer, loaded.eos_ids, is_chat=False).token == BYTES
    assert loaded.pad_id not in loaded.eos_ids


@pytest.mark.parametrize(
    "template", ["{% for m in messages %}{{ m.content }}\n# {% endfor %}", "{{ bos_token }}fixed", CHATML]
)
def test_words_behind_an_answer_end_no_text(tmp_path: Path, template: str) -> None:
    made = tokenizer("</s>", eos_token="</s>", bos_token="</s>", chat_template=template)
    loaded = load(saved(tmp_path, llama(BYTES + 1), made))
    assert loaded.eos_ids == {BYTES}
    assert loaded.remedies == ()


def test_positions_are_known_under_the_names_that_configurations_use() -> None:
    from transformers import (
        BloomConfig,
        BloomForCausalLM,
        GPT2Config,
        GPT2LMHeadModel,
        MptConfig,
        MptForCausalLM,
    )

    sizes = {"vocab_size": 40, "n_layer": 1, "n_head": 2}
    assert load_checks.n_positions(GPT2LMHeadModel(GPT2Config(n_positions=24, n_embd=8, **sizes))) == 24
    assert (
        load_checks.n_positions(
            MptForCausalLM(MptConfig(vocab_size=40, d_model=8, n_heads=2, n_layers=1, max_seq_len=24))
        )
        == 24
    )
    assert load_checks.n_positions(BloomForCausalLM(BloomConfig(hidden_size=8, **sizes))) is None

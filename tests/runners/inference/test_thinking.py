"""A model's thoughts stay in the raw text and are cut from the answer."""

import pytest

from runners.inference.batch_model import BatchModel
from runners.inference.thinking import without_thinking
from tests.runners.checkpoints import BYTES, llama, tokenizer
from tests.runners.inference.tiny_models import loaded


@pytest.mark.parametrize(
    ("prompt", "text", "answer"),
    [
        ("<|im_start|>assistant\n", "<think>\nLet me see.\n</think>\n\nParis.", "Paris."),  # Qwen3
        # DeepSeek-R1: the template opens it
        ("<|Assistant|><think>\n", "Let me see.\n</think>\n\nParis.", "Paris."),
        ("<think>\n\n</think>\n\n", "Paris.", "Paris."),  # Qwen3 with enable_thinking: false
        ("", "Let me see.\n</think>\n\nParis.", "Paris."),  # a server's template opened it
        ("assistant\n", "<think>\nLet me", ""),  # cut by the limit: no answer yet
        ("<think>\n", "Let me", ""),
        (
            "assistant\n",
            "A tag such as <think> or </think> is markup.",
            "A tag such as <think> or </think> is markup.",
        ),
        ("assistant\n", "[THINK]Hm.[/THINK]Paris.", "Paris."),
        ("assistant\n", "<|channel>thought\nHm.<channel|>Paris.", "Paris."),
        (
            "assistant",
            "<|channel|>analysis<|message|>Hm.assistant<|channel|>final<|message|>Paris.",
            "Paris.",
        ),
        ("assistant", "<|channel|>final<|message|>Paris.", "Paris."),
    ],
)
def test_a_thinking_block_is_no_part_of_the_answer(prompt: str, text: str, answer: str) -> None:
    assert without_thinking(text, prompt) == answer


def test_marks_that_are_special_tokens_stay_in_the_raw_text_and_other_special_tokens_do_not() -> None:
    made = tokenizer("</s>", "[THINK]", "[/THINK]", "[INST]", eos_token="</s>")
    batch_model = BatchModel(loaded(llama(BYTES + 4), made))
    ids = [*made.encode("[THINK]Hm.[/THINK]Paris."), BYTES + 3, BYTES]
    assert batch_model.detokenize(ids) == "[THINK]Hm.[/THINK]Paris."
    harmony = tokenizer("<|end|>", "<|channel|>", "<|message|>", eos_token="<|end|>")
    said = "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Paris."
    assert BatchModel(loaded(llama(BYTES + 3), harmony)).detokenize(harmony.encode(said)) == said
    without = tokenizer("</s>", "<|im_start|>", "<|channel|>", eos_token="</s>")
    assert (
        BatchModel(loaded(llama(BYTES + 3), without)).detokenize(
            [*without.encode("so"), BYTES + 1, BYTES + 2]
        )
        == "so"
    )

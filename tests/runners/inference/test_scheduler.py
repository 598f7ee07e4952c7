import random
import time
from collections.abc import Iterable, Iterator

import pytest
import torch
import transformers

from runners.inference import scheduler as decode
from runners.inference.batch_model import BatchModel
from runners.inference.scheduler import Generated, Request, Sampling
from tests.runners.inference.tiny_models import (
    BOS,
    EOS,
    UNK,
    VOCABULARY,
    loaded,
    random_model,
    speaking_model,
    tokenizer,
)

PREFIX = tuple(random.Random(1).choices(range(3, VOCABULARY), k=40))
N_NEW = 24


def generate(
    model: transformers.PreTrainedModel,
    with_tokenizer: transformers.PreTrainedTokenizerFast,
    asked: list[Request],
    sampling: Sampling,
    batch_size: int,
    share_prefix: bool = True,
) -> Iterator[Generated]:
    return decode.generate(
        BatchModel(loaded(model, with_tokenizer), shares=share_prefix), asked, sampling, batch_size
    )


def requests(n: int = 10, seed: int = 0, **settings: object) -> list[Request]:
    """Prompts that share PREFIX and go on with 1 to 30 tokens of their own."""
    draw = random.Random(seed)
    tails = [draw.choices(range(3, VOCABULARY), k=draw.randint(1, 30)) for _ in range(n)]
    return [Request(f"row {at}", (*PREFIX, *tail), **settings) for at, tail in enumerate(tails)]


def by_key(rows: Iterable[Generated]) -> dict[str, Generated]:
    rows = list(rows)
    assert len({row.key for row in rows}) == len(rows)
    return {row.key: row for row in rows}


def tokens(rows: Iterable[Generated]) -> dict[str, tuple[int, ...]]:
    """New tokens of each row, EOS included where the model wrote it, as transformers returns them."""
    return {key: row.token_ids + (EOS,) * (row.finish_reason == "eos") for key, row in by_key(rows).items()}


def of_transformers(
    model: transformers.PreTrainedModel, asked: list[Request], **settings: object
) -> dict[str, tuple[int, ...]]:
    """The same requests through `model.generate`, one by one."""
    config = transformers.GenerationConfig(
        do_sample=False, max_new_tokens=N_NEW, eos_token_id=EOS, pad_token_id=UNK, **settings
    )
    return {
        request.key: tuple(
            model.generate(
                input_ids=(prompt := torch.tensor([request.token_ids])),
                attention_mask=torch.ones_like(prompt),
                generation_config=config,
            )[0, prompt.shape[1] :].tolist()
        )
        for request in asked
    }


@pytest.mark.parametrize(
    ("architecture", "shares"),
    [
        ("llama", True),
        ("qwen2", True),
        ("gpt2", True),
        ("gemma3", True),
        ("gemma2", False),
        ("lfm2", False),
        ("bloom", False),
    ],
)
def test_greedy_tokens_are_those_of_transformers_for_any_batch_size_with_and_without_a_shared_prefix(
    architecture: str, shares: bool
):
    model, asked = random_model(architecture), requests()
    expected = of_transformers(model, asked)
    assert len({token for row in expected.values() for token in row}) > 20, (
        "a model that repeats one token shows nothing"
    )
    for batch_size in (1, 8):
        for share_prefix in (False, True):
            rows = list(generate(model, tokenizer(), asked, Sampling(N_NEW), batch_size, share_prefix))
            assert tokens(rows) == expected, (batch_size, share_prefix)
            assert {row.n_shared_tokens for row in rows} == {len(PREFIX) if share_prefix and shares else 0}


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
@pytest.mark.parametrize("share_prefix", [True, False])
def test_repetition_penalty_is_that_of_transformers(architecture: str, share_prefix: bool):
    model, asked = random_model(architecture), requests()
    expected = of_transformers(model, asked, repetition_penalty=1.3)
    assert expected != of_transformers(model, asked)
    assert (
        tokens(generate(model, tokenizer(), asked, Sampling(N_NEW, repetition_penalty=1.3), 8, share_prefix))
        == expected
    )


def test_repetition_penalty_does_not_count_padding():
    # Both rows would write the padding token next; with a penalty of 2 they would write another had they seen
    # it.
    model = speaking_model({10: UNK, UNK: EOS}, instead={10: 20})
    asked = [
        Request("long", (11, 12, 13, 14, 10)),
        Request("short", (10,)),
        Request("has seen it", (UNK, 10)),
    ]
    rows = by_key(
        generate(model, tokenizer(), asked, Sampling(1, repetition_penalty=2.0), 3, share_prefix=False)
    )
    assert {key: row.token_ids for key, row in rows.items()} == {
        "long": (UNK,),
        "short": (UNK,),
        "has seen it": (20,),
    }


def test_a_repetition_penalty_may_pass_over_the_prompt():
    # The token comes again and again: the penalty moves to another once it counts, which it does from the
    # prompt on or from the first answer.
    model, asked = speaking_model({10: 10, 20: 20}, instead={10: 20, 20: 30}), [Request("row", (10,))]

    def answer(*, penalize_prompt: bool) -> tuple[int, ...]:
        sampling = Sampling(2, repetition_penalty=2.0, penalize_prompt=penalize_prompt)
        return by_key(generate(model, tokenizer(), asked, sampling, 1))["row"].token_ids

    assert answer(penalize_prompt=True) == (20, 30)
    assert answer(penalize_prompt=False) == (10, 20)


def test_a_sampled_token_depends_on_the_seed_and_not_on_other_rows():
    model = random_model("llama")
    sampling = Sampling(N_NEW, temperature=1.5, top_k=50, top_p=0.95)
    asked = [Request(request.key, request.token_ids, seed=100 + at) for at, request in enumerate(requests())]
    expected = tokens(generate(model, tokenizer(), asked, sampling, 1, share_prefix=False))
    assert tokens(generate(model, tokenizer(), asked[::-1], sampling, 8)) == expected
    assert tokens(generate(model, tokenizer(), asked[3:6], sampling, 3)) == {
        request.key: expected[request.key] for request in asked[3:6]
    }

    same_prompt = [Request(f"seed {seed}", asked[0].token_ids, seed=seed) for seed in (1, 2, 1)]
    first, second, again = (
        next(iter(tokens(generate(model, tokenizer(), [request], sampling, 1)).values()))
        for request in same_prompt
    )
    assert first == again != second


def test_sampling_without_a_seed_is_refused():
    with pytest.raises(ValueError, match="row 0 has no seed"):
        list(generate(random_model("llama"), tokenizer(), requests(2), Sampling(4, temperature=0.5), 2))


# What a model says: each piece once, byte-level (Ġ is a space, Ċ a line break, Ã and © the two bytes of é).
SPOKEN = ("Ol", "Ã", "©", "Ġ!", "ĠĠĊ", "Ċ", "#", "ĠQu", "er", "y", "Ġmore")
START, AFTER_LAST = 3 + len(SPOKEN), 3 + len(SPOKEN) - 1
SAYS = {START: 3, **{token: token + 1 for token in range(3, AFTER_LAST)}}
TEXT = "Olé !  \n\n# Query more"


def spoken(stop_strings: tuple[str, ...], max_new_tokens: int = 50) -> Generated:
    [row] = generate(
        speaking_model(SAYS),
        tokenizer(SPOKEN),
        [Request("one", (BOS, START), stop_strings)],
        Sampling(max_new_tokens),
        batch_size=1,
    )
    return row


FENCED = ("Par", "is", "Ċ", "``", "`", "p", "y", "ĠĊ", "1", "Ċ```Ċ", "so", "ĊĊ```", "ĊĊ", "#ĠQue", "stion")
"""Paris / ```py / 1 / ``` / so / (empty) / ``` / (empty) / # Question"""


def fenced(pieces: tuple[str, ...], **settings: object) -> Generated:
    start = 3 + len(pieces)
    says = {start: 3, **{token: token + 1 for token in range(3, start - 1)}}
    asked = Request("one", (BOS, start), **{"ends_at_fence": True, **settings})
    [row] = generate(speaking_model(says), tokenizer(pieces), [asked], Sampling(50), batch_size=1)
    return row


def test_a_fenced_answer_ends_at_the_fence_that_closes_it_and_not_at_those_of_its_own_blocks():
    row = fenced(FENCED)
    assert (row.text, row.finish_reason, row.stop_string) == ("Paris\n```py \n1\n```\nso\n\n", "stop", "```")
    assert row.token_ids[-1] == 3 + FENCED.index("ĊĊ"), (
        "the line of the fence is whole: an info string might have followed"
    )
    free = fenced(FENCED, ends_at_fence=False)
    assert (free.text, free.finish_reason) == (free.raw_text, "eos")
    assert free.text.startswith(row.raw_text)


def test_a_fence_at_the_very_end_closes_the_answer_and_one_that_opens_a_block_does_not():
    assert fenced(("so", "Ċ```")).stop_string == "```"
    assert fenced(("so", "Ċ```", "p", "y")).finish_reason == "eos"


def test_a_text_without_stop_string_ends_at_eos():
    row = spoken(("nowhere",))
    assert (row.text, row.raw_text, row.finish_reason, row.stop_string) == (TEXT, TEXT, "eos", None)
    assert row.token_ids == tuple(range(3, AFTER_LAST + 1))
    assert (row.n_new_tokens, row.n_prompt_tokens, row.batch_size) == (len(SPOKEN), 2, 1)


def test_a_text_ends_at_its_limit():
    assert (spoken((), len(SPOKEN)).finish_reason, spoken((), len(SPOKEN) + 1).finish_reason) == (
        "length",
        "eos",
    )
    row = spoken((), 4)
    assert (row.text, row.finish_reason, row.n_new_tokens) == ("Olé !", "length", 4)


@pytest.mark.parametrize(
    ("stops", "text", "raw_text", "stop"),
    [
        (("# Query",), "Olé !  \n\n", "Olé !  \n\n# Query", "# Query"),
        (("Query mo", "ery"), "Olé !  \n\n# Qu", "Olé !  \n\n# Query", "ery"),
        (("lé",), "O", "Olé", "lé"),
        (("é",), "Ol", "Olé", "é"),
        (("\n", "\n\n"), "Olé !  ", "Olé !  \n", "\n"),
        (("Ol", "O", "Olé"), "", "Ol", "Ol"),
        ((" ! ",), "Olé", "Olé !  \n", " ! "),
    ],
)
def test_a_stop_string_across_tokens_ends_the_row_and_leaves_what_is_before_it(
    stops: tuple[str, ...], text: str, raw_text: str, stop: str
):
    row = spoken(stops)
    assert (row.text, row.raw_text, row.stop_string, row.finish_reason) == (text, raw_text, stop, "stop")
    assert row.n_new_tokens == len(row.token_ids) < len(SPOKEN)


def test_a_long_stop_string_of_many_small_tokens_ends_the_row_at_once():
    letters = "abcdefghijklmnopqrst"
    model = speaking_model({BOS: 3, **{token: token + 1 for token in range(3, 3 + len(letters) - 1)}})
    [row] = generate(model, tokenizer(letters), [Request("one", (BOS,), (letters[1:17],))], Sampling(50), 1)
    assert (row.text, row.raw_text, row.finish_reason) == ("a", letters[:17], "stop")


def test_a_stop_string_in_the_last_allowed_token_is_a_stop():
    row = spoken(("# Query",), max_new_tokens=10)
    assert (row.finish_reason, row.n_new_tokens) == ("stop", 10)


def test_a_stop_string_longer_than_the_tail_that_is_searched_is_found_when_special_tokens_lie_inside_it():
    pieces = ("a!", *(f"<sp{at}>" for at in range(12)), "b!")
    special = tokenizer(pieces)
    special.add_special_tokens({"additional_special_tokens": list(pieces[1:-1])})
    first, last = 3, 3 + len(pieces) - 1
    model = speaking_model({BOS: first, **{token: token + 1 for token in range(first, last)}, last: last - 1})
    [row] = generate(model, special, [Request("one", (BOS,), ("a!b!",))], Sampling(len(pieces)), 1)
    assert (row.raw_text, row.text, row.finish_reason, row.stop_string) == ("a!b!", "", "stop", "a!b!")


def test_any_eos_token_of_model_or_tokenizer_ends_a_row():
    model = speaking_model({10: 11, 11: 12, 20: 21, 21: 22, 30: 31, 31: EOS})
    model.generation_config.eos_token_id = [12, 22]
    rows = by_key(
        generate(
            model, tokenizer(), [Request(str(start), (start,)) for start in (10, 20, 30)], Sampling(9), 3
        )
    )
    assert {key: (row.token_ids, row.finish_reason) for key, row in rows.items()} == {
        "10": ((11,), "eos"),
        "20": ((21,), "eos"),
        "30": ((31,), "eos"),
    }
    model.generation_config.eos_token_id = 12
    assert loaded(model).eos_ids == {12, EOS}
    model.generation_config.eos_token_id = None
    assert loaded(model).eos_ids == {EOS}


def watched(batch_model: BatchModel) -> list[int]:
    """Return a list to which each forward pass adds its number of tokens."""
    n_tokens: list[int] = []
    batch_model.model.model.embed_tokens.register_forward_hook(
        lambda module, inputs, output: n_tokens.append(inputs[0].numel())
    )
    return n_tokens


def test_rows_come_as_they_finish_and_leave_the_batch():
    # Three prompts that end after 1, 3 and 6 tokens.
    model = speaking_model(
        {10: EOS, 20: 21, 21: 22, 22: EOS, **{token: token + 1 for token in range(30, 35)}}
    )
    batch_model = BatchModel(loaded(model))
    n_tokens = watched(batch_model)
    seen = []
    for row in decode.generate(
        batch_model, [Request(str(start), (BOS, start)) for start in (10, 20, 30)], Sampling(50), 3
    ):
        seen.append((row.key, len(n_tokens), row.batch_size))
        assert not torch.is_inference_mode_enabled()
    assert seen == [("10", 1, 3), ("20", 3, 3), ("30", 6, 3)]
    assert n_tokens == [6, 2, 2, 1, 1, 1]


def test_the_slot_of_a_finished_row_goes_to_the_next_one():
    # Ten prompts, two at a time: the long one goes on while the others, of two tokens each, follow one
    # another beside it.
    model = speaking_model({20: 21, 21: EOS, **{token: token + 1 for token in range(30, 45)}, 45: EOS})
    batch_model = BatchModel(loaded(model))
    n_tokens = watched(batch_model)
    asked = [Request("long", (BOS, BOS, 30)), *(Request(f"short {at}", (BOS, 20)) for at in range(5))]
    rows = list(decode.generate(batch_model, asked, Sampling(50), 2))
    assert [row.key for row in rows] == [*(f"short {at}" for at in range(5)), "long"]
    assert {len(row.token_ids) for row in rows if row.key != "long"} == {1}
    assert by_key(rows)["long"].token_ids == tuple(range(31, 46))
    assert len(n_tokens) == 20, (
        "one pass as the rows join, 4 as others follow, 15 for the other tokens of the long one"
    )


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_a_batch_too_large_for_memory_goes_on_with_half_the_rows_and_writes_the_same(architecture: str):
    model, asked = random_model(architecture), requests()
    expected = of_transformers(model, asked)
    batch_model = BatchModel(loaded(model))
    sizes: list[int] = []

    def no_room(module: object, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        sizes.append(output.shape[1])
        if output.shape[1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    batch_model.model.lm_head.register_forward_hook(no_room)
    rows = list(decode.generate(batch_model, asked, Sampling(N_NEW), 8))
    assert tokens(rows) == expected
    began = sizes.index(8)  # before that, reading is tried
    assert sizes[began : began + 3] == [8, 4, 2]
    assert max(sizes[began + 2 :]) == 2


def test_a_single_row_too_large_for_memory_is_an_error():
    batch_model = BatchModel(loaded(random_model("llama")))

    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    batch_model.model.lm_head.register_forward_hook(no_room)
    with pytest.raises(torch.OutOfMemoryError):
        list(decode.generate(batch_model, requests(3), Sampling(4), 3))


def test_two_calls_on_one_model_may_be_interleaved():
    model, asked, others = random_model("llama"), requests(4), requests(4, seed=5)
    expected, expected_others = of_transformers(model, asked), of_transformers(model, others)
    rows, other_rows = [], []
    for row, other in zip(
        generate(model, tokenizer(), asked, Sampling(N_NEW), 2),
        generate(model, tokenizer(), others, Sampling(N_NEW), 3),
        strict=True,
    ):
        rows.append(row)
        other_rows.append(other)
    assert (tokens(rows), tokens(other_rows)) == (expected, expected_others)


def test_a_shared_prefix_is_prefilled_once_and_only_the_last_position_gets_logits(
    monkeypatch: pytest.MonkeyPatch,
):
    batch_model, asked = BatchModel(loaded(random_model("llama"))), requests(9)
    n_tokens, scored = watched(batch_model), []
    batch_model.model.lm_head.register_forward_hook(
        lambda module, inputs, output: scored.append(output.shape[1])
    )
    list(decode.generate(batch_model, asked, Sampling(2), 3))
    own = sum(len(request.token_ids) - len(PREFIX) for request in asked)
    assert n_tokens[0] == len(PREFIX)
    assert sum(n_tokens) == len(PREFIX) + own + len(asked)
    assert max(scored) == 3
    del n_tokens[:]
    list(decode.generate(batch_model, requests(9, seed=3), Sampling(2), 3))
    assert max(n_tokens) < len(PREFIX) + 50, "the next call finds it cached"


def test_seconds_of_all_rows_add_up_to_the_time_spent_decoding():
    model, asked = random_model("llama"), requests(8)
    list(generate(model, tokenizer(), asked, Sampling(2), 3))  # imports and first-time costs
    began = time.perf_counter()
    rows = list(generate(model, tokenizer(), asked, Sampling(N_NEW), 3))
    elapsed = time.perf_counter() - began
    assert elapsed / 2 < sum(row.seconds for row in rows) < elapsed
    assert all(row.seconds > 0 for row in rows)


def test_prompt_tokens_count_the_prefix_and_no_padding():
    asked = requests(5)
    rows = by_key(generate(random_model("llama"), tokenizer(), asked, Sampling(2), 4))
    assert {key: row.n_prompt_tokens for key, row in rows.items()} == {
        request.key: len(request.token_ids) for request in asked
    }
    assert sorted(row.batch_size for row in rows.values()) == [1, 4, 4, 4, 4]


def test_equal_prompts_keep_a_token_of_their_own():
    model = random_model("llama")
    asked = [Request(str(at), PREFIX) for at in range(5)]
    rows = list(generate(model, tokenizer(), asked, Sampling(N_NEW), 3))
    assert {row.n_shared_tokens for row in rows} == {len(PREFIX) - 1}
    assert tokens(rows) == of_transformers(model, asked)


def test_nothing_asked_is_nothing_generated():
    assert list(generate(random_model("llama"), tokenizer(), [], Sampling(4), 2)) == []


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("row", ()), "row has no tokens"),
        (Request("row", (5,), ("a", "")), "row has an empty stop string"),
    ],
)
def test_requests_that_cannot_be_continued_are_refused(request_: Request, message: str):
    with pytest.raises(ValueError, match=message):
        list(generate(random_model("llama"), tokenizer(), [request_], Sampling(4), 1))


def test_a_model_without_key_value_cache_is_refused():
    with pytest.raises(TypeError, match="MambaForCausalLM keeps no key-value cache"):
        list(generate(random_model("mamba"), tokenizer(), requests(2), Sampling(4), 2))


def test_logits_that_are_not_numbers_are_an_error():
    model = random_model("llama")
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not numbers"):
        list(generate(model, tokenizer(), requests(2), Sampling(4), 2))

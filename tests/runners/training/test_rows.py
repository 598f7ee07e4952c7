"""Rows to train on, and their tokens."""

import copy
import shutil
from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import Example, Message
from dsl.errors import DataError
from dsl.steps.training_settings import HeldOut
from runners.models.loading import Loaded, load_to_train, sharing_copy
from runners.prompting.prompts import Prompter
from runners.prompting.tokens import chat_token_ids, token_ids
from runners.training.rows import Counts, Row, _tokenizer_key, draw, tokenise
from tests.fixtures.tiny_study import WEIGHTS, chat_form, inputs, rows, text_form

LANGUAGES = ("en", "fr", "es")
PARALLEL = {language: rows("instructions", language) for language in LANGUAGES}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_to_train(WEIGHTS, None, tmp_path_factory.mktemp("cache"))


def drawn(folder: Path, n: int | None, seed: int = 0, **examples: list[Example]) -> list[tuple[str, str]]:
    found, steps = inputs(folder, **examples)
    return [
        (row.item, row.language)
        for row, _ in draw(steps, [chat_form()] * len(steps), ["response"], found, n, seed, Counts())[0]
    ]


def test_without_a_number_all_rows_are_drawn(tmp_path: Path) -> None:
    assert len(drawn(tmp_path, None, **PARALLEL)) == 72


def test_another_template_or_another_tokenizer_file_makes_other_tokens(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(loaded.tokenizer.name_or_path, tmp_path / "model"))
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.name_or_path = str(folder)
    here = replace(loaded, tokenizer=tokenizer)
    found = {_tokenizer_key(here)}
    monkeypatch.setattr("runners.prompting.tokens._own_template", lambda: "{{ messages[0].content }}")
    found.add(_tokenizer_key(here))
    tokenizer.chat_template = "{{ messages[-1].content }}"
    found.add(_tokenizer_key(here))
    for name in ("qwen.tiktoken", "tokenizer.model", "tokenization_own.py", "added_tokens.json"):
        (folder / name).write_text("x")
        found.add(_tokenizer_key(here))
    monkeypatch.setattr("runners.training.rows.fingerprint", lambda *modules: "of other code")
    found.add(_tokenizer_key(here))
    assert len(found) == 8
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert _tokenizer_key(here) in found


def test_fewer_rows_are_a_part_of_more_and_every_seed_draws_others(tmp_path: Path) -> None:
    assert drawn(tmp_path, 30, **PARALLEL)[:12] == drawn(tmp_path, 12, **PARALLEL)
    assert len({tuple(drawn(tmp_path, 12, seed=seed, **PARALLEL)) for seed in range(6)}) == 6


def test_the_same_items_are_drawn_in_every_language(tmp_path: Path) -> None:
    found = drawn(tmp_path, 12, **PARALLEL)
    by_item = Counter(item for item, _ in found)
    assert len(by_item) == 4
    assert set(by_item.values()) == {3}


def test_languages_whose_items_differ_are_balanced_too(tmp_path: Path) -> None:
    french = [row.model_copy(update={"item": f"fr-{row.item}"}) for row in PARALLEL["fr"]]
    assert Counter(language for _, language in drawn(tmp_path, 20, en=PARALLEL["en"], fr=french)) == {
        "en": 10,
        "fr": 10,
    }


def test_a_language_that_runs_out_leaves_the_rest_to_the_others(tmp_path: Path) -> None:
    assert Counter(
        language for _, language in drawn(tmp_path, 20, en=PARALLEL["en"], fr=PARALLEL["fr"][:3])
    ) == {"en": 17, "fr": 3}


def test_rows_added_to_a_data_set_leave_the_order_of_the_others(tmp_path: Path) -> None:
    before, after = drawn(tmp_path, None, en=PARALLEL["en"][:10]), drawn(tmp_path, None, en=PARALLEL["en"])
    assert [row for row in after if row in before] == before


def test_more_rows_than_there_are_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="asks for 100, and the training data has 72"):
        drawn(tmp_path, 100, **PARALLEL)


def test_rows_without_an_answer_are_passed_over_and_counted(tmp_path: Path) -> None:
    examples = [*PARALLEL["en"][:4], PARALLEL["en"][4].model_copy(update={"response": " \n"})]
    found, steps = inputs(tmp_path, en=[*examples, PARALLEL["en"][5].model_copy(update={"response": None})])
    counts = Counts()
    assert len(draw(steps, [chat_form()], ["response"], found, None, 0, counts)[0]) == 4
    assert counts.n_without_answer == 2


# ---------------------------------------------------------------- validation


def held_out(
    folder: Path, n: int | None, share: float = 0.25, seed: int = 0, **examples: list[Example]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    found, steps = inputs(folder, **examples)
    forms = [chat_form()] * len(steps)
    both = draw(steps, forms, ["response"], found, n, seed, Counts(), HeldOut(rows=share))
    trained, evaluated = ([(row.item, row.language) for row, _ in rows] for rows in both)
    return trained, evaluated


@given(
    n=st.none() | st.integers(12, 72),
    share=st.floats(0.05, 0.6),
    seed=st.integers(0, 9),
    n_french=st.integers(4, 24),
)
def test_held_out_items_are_trained_on_in_no_language(
    tmp_path_factory: pytest.TempPathFactory, n: int | None, share: float, seed: int, n_french: int
) -> None:
    examples = {**PARALLEL, "fr": PARALLEL["fr"][:n_french]}
    n_all = sum(map(len, examples.values()))
    n = None if n is None else min(n, n_all)
    trained, evaluated = held_out(tmp_path_factory.mktemp("rows"), n, share, seed, **examples)
    wanted = max(1, round(share * (n or n_all)))
    assert wanted <= len(evaluated) < wanted + 3, "items whole, in up to three languages"
    assert {item for item, _ in trained}.isdisjoint(item for item, _ in evaluated)
    assert len(trained) + len(evaluated) == (n or n_all)
    assert len({*trained, *evaluated}) == (n or n_all)


def test_fewer_rows_are_held_out_from_among_those_of_more(tmp_path: Path) -> None:
    few, more = (held_out(tmp_path / str(n), n, **PARALLEL) for n in (24, 48))
    assert few[0] == more[0][: len(few[0])]
    assert set(few[1]) < set(more[1])


def test_the_held_out_rows_hang_on_the_seed(tmp_path: Path) -> None:
    one, again, other = (
        held_out(tmp_path / str(at), None, seed=seed, **PARALLEL)[1] for at, seed in enumerate((0, 0, 1))
    )
    assert one == again != other


def test_a_question_under_several_items_is_held_out_with_all_of_them(tmp_path: Path) -> None:
    """`a` and `c` share none, and each shares one with `b`."""

    def row(item: str, language: str, instruction: str) -> Example:
        return Example(item=item, language=language, instruction=instruction, response="Yes.")

    pairs = [row(f"{n}{x}", "en", f"{w} {n}") for n in range(12) for x, w in (("x", "Why"), ("y", "why?"))]
    chain = [row("a", "en", "One"), row("b", "en", "one!"), row("b", "fr", "deux"), row("c", "fr", "Deux")]
    together = [{f"{n}x", f"{n}y"} for n in range(12)] + [{"a", "b", "c"}]
    for seed in range(6):
        trained, evaluated = held_out(
            tmp_path / str(seed),
            None,
            seed=seed,
            en=[*pairs, *(one for one in chain if one.language == "en")],
            fr=[one for one in chain if one.language == "fr"],
        )
        items = {item for item, _ in evaluated}
        assert items == set[str]().union(*(group for group in together if group & items))
        assert len(trained) + len(evaluated) == 28
        assert 7 <= len(evaluated) <= 10


def test_rows_to_train_on_must_be_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`validation` holds out 3 of 2 rows, so that none is left"):
        held_out(tmp_path, 2, **PARALLEL)


def test_a_data_set_of_its_own_holds_nothing_out(tmp_path: Path) -> None:
    found, (train, other) = inputs(tmp_path, train=PARALLEL["en"], other=PARALLEL["fr"][:5])
    trained, evaluated = draw((train,), (chat_form(),), ["response"], found, 7, 0, Counts(), (other,))
    assert (len(trained), len(evaluated)) == (7, 5)
    assert {row.language for row, _ in evaluated} == {"fr"}


# ---------------------------------------------------------------- tokens


def made(
    loaded: Loaded, folder: Path, examples: list[Example], form: Any = None, max_length: int = 1024
) -> tuple[list[Row], Counts]:
    found, _ = inputs(folder, data=examples)
    counts = Counts()
    pairs = [(example, form or chat_form()) for example in examples]
    return list(tokenise(pairs, ["response"], loaded, found, 0, max_length, counts)), counts


def example(response: str, instruction: str = "Where?") -> Example:
    return Example(item="a", language="en", instruction=instruction, response=response)


@pytest.mark.parametrize("form", [chat_form(), text_form("en", 0), text_form("en", 3)])
def test_a_trained_prompt_is_token_for_token_the_one_generation_hands_the_model(
    loaded: Loaded, tmp_path: Path, form: Any
) -> None:
    examples = PARALLEL["en"]
    found, counts = made(loaded, tmp_path, examples, form)
    prompter = Prompter(form, inputs(tmp_path)[0])
    assert [row.prompt_ids for row in found] == [
        token_ids(loaded.tokenizer, prompter.prompt(one)) for one in examples
    ]
    assert counts.n_rows == len(examples)


def test_an_answer_ends_with_one_eos_and_holds_no_other_special_token(loaded: Loaded, tmp_path: Path) -> None:
    tokenizer = loaded.tokenizer
    for answer in ["It is red.", "Write <s>this</s>.", "</s>"]:
        (row,), _ = made(loaded, tmp_path, [example(answer)])
        (ids,) = row.answers
        assert ids[-1] == tokenizer.eos_token_id
        assert set(ids[:-1]).isdisjoint(tokenizer.all_special_ids)
        assert tokenizer.decode(ids[:-1]) == answer


def test_prompt_and_answer_are_tokenised_together_where_their_border_allows_it(
    loaded: Loaded, tmp_path: Path
) -> None:
    (row,), counts = made(loaded, tmp_path, [example("It lives in Cuba.")])
    text = loaded.tokenizer.decode(row.prompt_ids + row.answers[0][:-1])
    assert text.startswith("<s>### user\nWhere?\n\n### assistant\nIt lives in Cuba.")
    assert loaded.tokenizer.encode(text.removeprefix("<s>")) == row.prompt_ids + row.answers[0][:-1]
    assert counts.n_border_merges == 0


def test_a_border_where_tokens_merge_is_counted_and_the_prompt_kept(loaded: Loaded, tmp_path: Path) -> None:
    """This template ends in a space, which belongs to the next word's token in a byte-level BPE."""
    import copy

    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    spaced = replace(loaded, tokenizer=tokenizer)
    prompt = Prompter(chat_form(), inputs(tmp_path)[0]).prompt(example("The"))
    found, counts = made(spaced, tmp_path, [example("lives"), example("\nlives")])
    assert counts.n_border_merges == 2
    assert [row.prompt_ids for row in found] == [token_ids(tokenizer, prompt)] * 2


def test_rows_that_are_too_long_are_cut_at_their_end_and_counted(loaded: Loaded, tmp_path: Path) -> None:
    (whole,), _ = made(loaded, tmp_path, [example("It lives in Cuba.")])
    length = len(whole.prompt_ids) + len(whole.answers[0])
    _, exact = made(loaded, tmp_path, [example("It lives in Cuba.")], max_length=length)
    (cut,), counts = made(loaded, tmp_path, [example("It lives in Cuba.")], max_length=length - 1)
    assert exact.n_truncated == 0
    assert cut == replace(whole, answers=[whole.answers[0][:-1]])
    assert (counts.n_rows, counts.n_truncated, counts.n_dropped, counts.n_tokens) == (1, 1, 0, length - 1)


def test_a_row_whose_prompt_leaves_no_room_is_dropped_and_counted(loaded: Loaded, tmp_path: Path) -> None:
    long = example("It lives in Cuba.", instruction="Where? " * 40)
    found, counts = made(loaded, tmp_path, [long, example("It lives in Cuba.")], max_length=60)
    assert len(found) == 1
    assert (counts.n_rows, counts.n_truncated, counts.n_dropped) == (1, 1, 1)
    with pytest.raises(DataError, match=r"no row to train on: of 1, 1 have prompts of 60 tokens"):
        made(loaded, tmp_path, [long], max_length=60)


# ---------------------------------------------------------------- a conversation as its template renders it


TURNS = (
    "{% for m in messages %}{{ '<|start|>' + m.role + '\\n' + m.content | trim + '<|end|>\\n' }}{% endfor %}"
)
TURNS += "{% if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{% endif %}"
"""Turns between tokens that are special and that the tokenizer gives no name, as `<|im_end|>` and
`<|eot_id|>` often are."""

SPACE = (
    "{% for m in messages %}{{ '[INST] ' + m.content + ' [/INST]' if m.role == 'user' else ' ' + m.content +"
    " eos_token }}{% endfor %}"
)
"""A space before the answer that the prompt does not end with, as Mistral's has."""

EMPTY_THOUGHT = TURNS.replace(
    "m.content | trim", "(THOUGHT if m.role == 'assistant' else '') + m.content"
).replace("THOUGHT", "'<think>\\n\\n</think>\\n\\n'")
"""An empty thinking block before the answer, as Qwen3's has."""

OPEN_THOUGHT = TURNS.replace("'<|start|>assistant\\n' }}", "'<|start|>assistant\\n<think>\\n' }}")
"""A prompt that opens a thinking block which an answered conversation has no more, as R1's."""


def with_template(loaded: Loaded, template: str) -> Loaded:
    """The same model and a tokenizer with `<|start|>` and `<|end|>`, of which the latter ends a turn."""
    import copy

    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|start|>", "<|end|>"]})
    tokenizer.chat_template = template
    model = sharing_copy(loaded.model)
    model.resize_token_embeddings(len(tokenizer))
    return replace(
        loaded,
        model=model,
        tokenizer=tokenizer,
        eos_ids=loaded.eos_ids | {tokenizer.convert_tokens_to_ids("<|end|>")},
    )


@pytest.mark.parametrize(
    ("template", "learnt"),
    [
        (TURNS, "It eats.<|end|>"),
        (SPACE, " It eats.</s>"),
        (EMPTY_THOUGHT, "<think>\n\n</think>\n\nIt eats.<|end|>"),
        (TURNS.replace("| trim + '<|end|>", "| trim + ' <|end|>"), "It eats. <|end|>"),
    ],
)
def test_a_row_is_the_conversation_that_the_template_renders(
    loaded: Loaded, tmp_path: Path, template: str, learnt: str
) -> None:
    told = with_template(loaded, template)
    (row,), counts = made(told, tmp_path, [example(" It eats. ")])
    prompt = Prompter(chat_form(), inputs(tmp_path)[0]).prompt(example("It eats."))
    assert row.prompt_ids == token_ids(told.tokenizer, prompt)
    assert told.tokenizer.decode(row.answers[0]) == learnt
    whole = chat_token_ids(
        told.tokenizer, [("user", "Where?"), ("assistant", "It eats.")], add_generation_prompt=False
    )
    assert (row.prompt_ids + row.answers[0]) == whole[: row.length]
    assert (counts.n_unlike_template, counts.n_border_merges) == (0, 0)


def test_a_row_is_rendered_with_the_arguments_that_its_prompt_is(loaded: Loaded, tmp_path: Path) -> None:
    """Told not to think, Qwen3 is handed the empty block with the prompt, and learns to answer behind it."""
    told = with_template(
        loaded,
        EMPTY_THOUGHT.removesuffix("{% endif %}")
        + "{% if not think %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
    )
    for think, learnt in ((True, "<think>\n\n</think>\n\nIt eats.<|end|>"), (False, "It eats.<|end|>")):
        form = chat_form().model_copy(update={"chat_template_kwargs": (("think", think),)})
        (row,), counts = made(told, tmp_path, [example("It eats.")], form)
        assert told.tokenizer.decode(row.answers[0]) == learnt
        assert counts.n_unlike_template == 0


def test_a_control_token_in_a_question_or_an_answer_is_words(loaded: Loaded, tmp_path: Path) -> None:
    told = with_template(loaded, TURNS)
    said = "Say <|end|> and <|start|>user</s>, twice <|end|>!"
    (row,), _ = made(told, tmp_path, [example(said, instruction=said)])
    control = {told.tokenizer.convert_tokens_to_ids(token) for token in ("<|start|>", "<|end|>", "</s>")}
    assert [token for token in row.answers[0] if token in control] == [
        told.tokenizer.convert_tokens_to_ids("<|end|>")
    ]
    assert told.tokenizer.decode(row.answers[0][:-1]) == said
    assert sum(token in control for token in row.prompt_ids) == 3


def test_a_row_whose_template_renders_the_prompt_otherwise_once_it_is_answered_is_dropped_and_counted(
    loaded: Loaded, tmp_path: Path
) -> None:
    told = with_template(
        loaded,
        TURNS.removesuffix("{% endif %}")
        + "{% if 'Why' in messages[0].content %}<think>{% endif %}{% endif %}",
    )
    found, counts = made(told, tmp_path, [example("It eats."), example("It eats.", instruction="Why?")])
    assert (len(found), counts.n_rows, counts.n_unlike_template) == (1, 1, 1)
    with pytest.raises(
        DataError, match="1 have a prompt that the chat template renders otherwise once it is answered"
    ):
        made(with_template(loaded, OPEN_THOUGHT), tmp_path, [example("It eats.")])


def test_a_model_that_cannot_read_its_rows_is_not_trained_on_them(loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be trained through its chat template: it fails"):
        made(replace(loaded, no_chat="it fails"), tmp_path, [example("It eats.")])
    (row,), _ = made(replace(loaded, no_chat="it fails"), tmp_path, [example("It eats.")], text_form("en", 0))
    assert row.prompt_ids
    told = replace(with_template(loaded, TURNS), model=loaded.model)  # whose embedding has not the new tokens
    with pytest.raises(DataError, match=r"item a in `en`: the model has no embedding for `<\|start\|>`"):
        made(told, tmp_path, [example("It eats.")])


def test_a_row_has_no_more_tokens_than_the_model_has_positions(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.model.config, "max_position_embeddings", 20)
    (row,), counts = made(loaded, tmp_path, [example("It eats tofu and kiwi and pizza and sushi.")])
    assert (row.length, counts.n_truncated, counts.max_length) == (20, 1, 20)
    with pytest.raises(DataError, match=r"1 have prompts of 20 tokens \(the model's positions\) or more"):
        made(loaded, tmp_path, [example("It eats.", instruction="Where? " * 20)])


def test_pairs_whose_answers_are_equal_once_they_are_cut_are_dropped_and_counted(
    loaded: Loaded, tmp_path: Path
) -> None:
    def pair(chosen: str, rejected: str) -> Example:
        return Example(item="a", language="en", instruction="Where?", chosen=chosen, rejected=rejected)

    def tokens(*pairs: Example) -> tuple[list[Row], Counts]:
        found, _ = inputs(tmp_path, data=list(pairs))
        counts = Counts()
        asked = [(one, chat_form()) for one in pairs]
        return list(tokenise(asked, ["chosen", "rejected"], loaded, found, 0, 24, counts)), counts

    same = pair("In Cuba.", "In Cuba. ")
    same_once_cut = pair(
        "It eats tofu and kiwi and pizza and sushi and mango.",
        "It eats tofu and kiwi and pizza and sushi and curry.",
    )
    kept, counts = tokens(same, pair("In Cuba.", "In Oslo."), same_once_cut)
    assert len(kept) == counts.n_rows == 1
    assert (counts.n_equal, counts.n_truncated, counts.n_dropped) == (2, 1, 0)
    with pytest.raises(
        DataError, match=r"of 2, 2 have equal answers \(chosen, rejected\) once they are cut to 24 tokens"
    ):
        tokens(same, same_once_cut)


# ---------------------------------------------------------------- tokens, made once


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "cache" / "tokens").glob("*"))


def test_rows_are_tokenised_once_whatever_their_order_and_the_length_they_are_cut_to(
    loaded: Loaded, tmp_path: Path
) -> None:
    examples = PARALLEL["en"][:6]
    first, _ = made(loaded, tmp_path, examples)
    (file,) = kept(tmp_path)
    written = file.stat().st_mtime_ns
    turned, _ = made(loaded, tmp_path, examples[::-1])
    cut, counts = made(loaded, tmp_path, examples, max_length=20)
    assert turned == first[::-1]
    assert [row.prompt_ids + row.answers[0] for row in cut] == [
        (row.prompt_ids + row.answers[0])[:20] for row in first
    ]
    assert counts.n_truncated == sum(len(row.prompt_ids + row.answers[0]) > 20 for row in first) > 0
    assert kept(tmp_path) == [file]
    assert file.stat().st_mtime_ns == written


def test_other_rows_another_prompt_and_another_tokenizer_are_tokenised_anew(
    loaded: Loaded, tmp_path: Path
) -> None:
    import copy

    examples = PARALLEL["en"][:4]
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    found = [
        made(loaded, tmp_path, examples),
        made(loaded, tmp_path, examples[:3]),
        made(loaded, tmp_path, examples, text_form("en", 1)),
        made(replace(loaded, tokenizer=tokenizer), tmp_path, examples),
        made(replace(loaded, eos_ids=loaded.eos_ids | {7}), tmp_path, examples),
    ]
    assert len(kept(tmp_path)) == 5
    assert found[0][0][0].prompt_ids != found[3][0][0].prompt_ids


def test_kept_tokens_are_what_is_trained_on(loaded: Loaded, tmp_path: Path) -> None:
    """So that a test of what is kept is a test of what is read."""
    examples = [example("It lives in Cuba."), example("It lives in Cuba.", "Who?")]
    first, _ = made(loaded, tmp_path, examples)
    (file,) = kept(tmp_path)
    file.write_text(file.read_text().replace(f"{first[0].prompt_ids[:3]}"[1:-1].replace(" ", ""), "7,7,7"))
    assert [row.prompt_ids[:3] for row in made(loaded, tmp_path, examples)[0]] == [[7, 7, 7]] * 2


def test_another_template_of_the_projects_own_is_tokenised_anew(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tokenizer without a template is given the project's, in training as in generation."""
    assert not loaded.tokenizer.chat_template
    made(loaded, tmp_path, [example("It eats.")])
    monkeypatch.setattr(
        "runners.prompting.tokens._own_template",
        lambda: "{% for m in messages %}Q: {{ m.content }}\nA: {% endfor %}",
    )
    (row,), _ = made(loaded, tmp_path, [example("It eats.")])
    assert row.prompt_ids == token_ids(
        loaded.tokenizer, Prompter(chat_form(), inputs(tmp_path)[0]).prompt(example("It eats."))
    )
    assert loaded.tokenizer.decode(row.prompt_ids) == "<s>Q: Where?\nA: "


# ---------------------------------------------------------------- conversations


def conversation(*turns: str, response: str = "Of sushi.") -> Example:
    """An example behind these turns, which begin with a question."""
    roles = ("user", "assistant")
    before = tuple(Message(role=roles[i % 2], content=text) for i, text in enumerate(turns))
    return Example(item="a", language="en", turns=before, instruction="Of what?", response=response)


def all_learnt(loaded: Loaded, folder: Path, example: Example, form: Any = None) -> tuple[list[str], Counts]:
    """The texts that are learnt of one row, with the loss on all answers."""
    found, _ = inputs(folder, data=[example])
    counts = Counts()
    (row,) = tokenise([(example, form or chat_form())], ["response"], loaded, found, 0, 999, counts, True)
    ids = row.prompt_ids + row.answers[0]
    assert [label for label in row.labels if label != -100] == [
        token for token, label in zip(ids, row.labels, strict=True) if label != -100
    ]
    pieces = [
        [token for token, _ in group]
        for is_learnt, group in groupby(zip(ids, row.labels, strict=True), lambda pair: pair[1] != -100)
        if is_learnt
    ]
    assert counts.answer_lengths == [len(row.answers[0]), *(len(piece) for piece in pieces[:-1])]
    return [loaded.tokenizer.decode(piece) for piece in pieces], counts


MARKED = TURNS.replace(
    "m.content | trim + '<|end|>\\n' }}",
    "'' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{{ '<|end|>\\n' }}",
)
"""A template that marks what the assistant says, without the end."""

FORGETFUL = TURNS.replace("m.content | trim", "(m.content if loop.last or m.role == 'user' else '')")
"""A template that leaves out what the assistant said before."""


@pytest.mark.parametrize("template", [TURNS, MARKED])
def test_assistant_only_loss_learns_every_answer_of_a_conversation_with_its_end(
    loaded: Loaded, tmp_path: Path, template: str
) -> None:
    told = with_template(loaded, template)
    example = conversation("Are you hungry?", "Yes. <|end|>!", "Really?", "Very.")
    learnt, counts = all_learnt(told, tmp_path, example)
    assert learnt == ["Yes. <|end|>!<|end|>", "Very.<|end|>", "Of sushi.<|end|>"]
    assert (counts.n_rows, counts.n_border_merges, counts.n_unlike_template) == (1, 0, 0)


@pytest.mark.parametrize("template", [TURNS, MARKED])
def test_an_earlier_answer_of_weight_0_is_read_and_not_learnt(
    loaded: Loaded, tmp_path: Path, template: str
) -> None:
    example = conversation("Are you hungry?", "No.", "Really?", "Very.")
    turns = [turn.model_copy(update={"weight": int(turn.content != "No.")}) for turn in example.turns]
    example = example.model_copy(update={"turns": tuple(turns)})
    learnt, _ = all_learnt(with_template(loaded, template), tmp_path, example)
    assert learnt == ["Very.<|end|>", "Of sushi.<|end|>"]


def test_without_it_the_last_answer_alone_is_learnt_given_the_others(loaded: Loaded, tmp_path: Path) -> None:
    told = with_template(loaded, TURNS)
    (row,), _ = made(told, tmp_path, [conversation("Are you hungry?", "Yes.")])
    assert told.tokenizer.decode(row.prompt_ids) == (
        "<s><|start|>user\nAre you hungry?<|end|>\n<|start|>assistant\nYes.<|end|>\n"
        "<|start|>user\nOf what?<|end|>\n<|start|>assistant\n"
    )
    assert row.labels == [-100] * len(row.prompt_ids) + row.answers[0]


def test_in_a_text_prompt_an_earlier_answer_is_learnt_up_to_the_fence_that_closes_it(
    loaded: Loaded, tmp_path: Path
) -> None:
    example = conversation("Are you hungry?", "Yes.")
    learnt, _ = all_learnt(loaded, tmp_path, example, text_form("en", 0))
    assert learnt == ["Yes.\n```", "Of sushi.</s>"]


def test_a_conversation_that_the_template_renders_otherwise_later_is_dropped_and_counted(
    loaded: Loaded, tmp_path: Path
) -> None:
    told = with_template(loaded, FORGETFUL)
    with pytest.raises(DataError, match="of 1, 1 have a prompt that the chat template renders otherwise"):
        all_learnt(told, tmp_path, conversation("Are you hungry?", "Yes."))
    assert len(made(told, tmp_path, [conversation("Are you hungry?", "Yes.")])[0]) == 1


def test_a_conversation_of_one_turn_has_the_tokens_it_has_without_the_setting(
    loaded: Loaded, tmp_path: Path
) -> None:
    found, _ = inputs(tmp_path, data=[])
    pairs = [(one, chat_form()) for one in PARALLEL["en"][:4]]
    rows = [
        list(tokenise(pairs, ["response"], loaded, found, 0, 99, Counts(), learns_all))
        for learns_all in (False, True)
    ]
    assert rows[0] == rows[1]


def test_a_template_that_refuses_a_conversation_is_an_error_that_names_the_row(
    loaded: Loaded, tmp_path: Path
) -> None:
    told = with_template(
        loaded, "{% if messages[2] is defined %}{{ raise_exception('one question') }}{% endif %}" + TURNS
    )
    with pytest.raises(
        DataError,
        match="item a in `en`: the chat template refuses a conversation of user, assistant, user: one",
    ):
        made(told, tmp_path, [conversation("Hungry?", "Yes.")])

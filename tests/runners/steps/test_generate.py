"""Answers are made once: cached rows that are still valid are reused, and only the rest is asked for."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import Completion, Example, Message
from dsl.engines.contract import Decoding
from dsl.steps.prompt_forms import ChatPrompt, PromptText, TextPrompt
from dsl.steps.steps import GenerateStep
from runners.engines import echo
from runners.inference.stop_strings import cut_at_stop
from runners.prompting.tokens import CHAT_TEMPLATE
from runners.steps import generate
from runners.steps.generate import clean, is_still_valid, would_not_stop
from runners.store.step_io import RowWriter, StepContext, StepResult, read_rows, rewrite_rows

EXAMPLES, TUNED = "data-0000000000000000", "sft-0000000000000000"
FIRST = "generate-0000000000000000"
PROMPT_FILE = """\
language: en
query_tag: "# Q:"
answer_tag: "# A:"
stop_strings: ["# Q"]
"""


class Work:
    """A folder with examples, and generate steps run on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "prompt.yaml").write_text(PROMPT_FILE, "utf-8")

    def ask(
        self,
        name: str,
        texts: list[str],
        reuse_from: tuple[str, ...] = (),
        seed: int = 0,
        tuned: str | None = None,
        **decoding: float,
    ) -> tuple[StepResult, dict[str, Completion]]:
        data = self.folder / f"data-{name}"
        data.mkdir(exist_ok=True)
        (data / "examples.jsonl").unlink(missing_ok=True)
        with RowWriter(data / "examples.jsonl") as writer:
            for n, text in enumerate(texts):
                writer.write(Example(item=f"q{n}", language="en", instruction=text))
        sha = hashlib.sha256((self.folder / "prompt.yaml").read_bytes()).hexdigest()
        step = GenerateStep(
            model=echo.Settings(),
            examples=EXAMPLES,
            prompt=TextPrompt(
                text=PromptText(language="en", path=str(self.folder / "prompt.yaml"), sha256=sha),
                num_fewshot=0,
            ),
            decoding=Decoding.model_validate(decoding),
            seed=seed if decoding.get("temperature") else None,
            tuned=TUNED if tuned else None,
        )
        out = self.folder / name
        out.mkdir(exist_ok=True)
        folders = {EXAMPLES: data} | ({TUNED: self.folder / tuned} if tuned else {})
        context = StepContext(
            folders, cache=self.folder / "cache", reuse_from=tuple(self.folder / d for d in reuse_from)
        )
        made = generate.run(step, context, out)
        rows = list(read_rows(out / "completions.jsonl", Completion))
        assert len({row.item for row in rows}) == len(rows), "each once"
        return made, {row.item: row for row in rows}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_every_example_has_one_row_with_its_prompt_and_its_answer(work: Work) -> None:
    made, rows = work.ask("a", ["one two", "three"])
    assert (made.n_rows, made.n_reused) == (2, 0)
    assert rows["q0"].text == "one two"
    assert rows["q0"].prompt.endswith("\n# Q:\n```\none two\n```\n\n# A:\n```\n")
    assert rows["q0"].seed is None


def test_more_items_make_only_the_new_rows_also_where_the_items_have_other_names(work: Work) -> None:
    work.ask("a", ["one", "two"])
    made, rows = work.ask("b", ["zero", "one", "two"], reuse_from=("a",))
    assert (made.n_rows, made.n_reused) == (3, 2)
    assert {item: row.text for item, row in rows.items()} == {"q0": "zero", "q1": "one", "q2": "two"}
    assert {item: row.seconds for item, row in rows.items()} == {"q0": 0.0, "q1": None, "q2": None}, (
        "time is spent once"
    )


def test_a_larger_length_limit_asks_again_only_for_what_was_cut(work: Work) -> None:
    work.ask("a", ["a b c d", "a"], max_new_tokens=2)
    made, rows = work.ask("b", ["a b c d", "a"], reuse_from=("a",), max_new_tokens=3)
    assert made.n_reused == 1
    assert (rows["q0"].text, rows["q0"].finish_reason, rows["q1"].max_new_tokens) == ("a b c", "length", 3)


def test_a_smaller_length_limit_keeps_only_what_fits_in_it(work: Work) -> None:
    work.ask("a", ["a b c d", "a"], max_new_tokens=9)
    made, rows = work.ask("b", ["a b c d", "a"], reuse_from=("a",), max_new_tokens=2)
    assert made.n_reused == 1
    assert rows["q0"].text == "a b"


@pytest.mark.parametrize(
    ("finish", "n_new_tokens", "limit", "is_valid"),
    [
        ("eos", None, 8, True),  # as of a server that counts no tokens
        ("stop", None, 16, True),
        ("eos", None, 4, False),
        ("stop", 3, 4, True),
        ("eos", 4, 4, False),
        ("length", 8, 16, False),
        ("length", 8, 8, True),
        ("missing", None, 8, False),
    ],
)
def test_an_answer_that_ended_by_itself_is_valid_under_every_larger_limit_and_one_that_was_cut_is_not(
    finish: str, n_new_tokens: int | None, limit: int, is_valid: bool
) -> None:
    row = Completion.model_validate(
        {
            **dict.fromkeys(("item", "language", "prompt", "text", "raw_text", "engine"), "en"),
            "row_key": "0" * 64,
            "finish_reason": finish,
            "max_new_tokens": 8,
            "n_new_tokens": n_new_tokens,
        }
    )
    assert is_still_valid(row, limit) == is_valid


def test_a_further_stop_string_asks_again_only_for_the_answers_that_it_occurs_in(work: Work) -> None:
    texts = ["a b", "a X b", "c"]
    work.ask("a", texts)
    (work.folder / "prompt.yaml").write_text(PROMPT_FILE.replace('["# Q"]', '["# Q", "X"]'), "utf-8")
    made, rows = work.ask("b", texts, reuse_from=("a",))
    assert made.n_reused == 2
    fresh = work.ask("c", texts)[1]
    of_result = {"seconds", "provenance"}
    assert {item: row.model_dump(exclude=of_result) for item, row in rows.items()} == {
        item: row.model_dump(exclude=of_result) for item, row in fresh.items()
    }
    assert work.ask("d", texts, reuse_from=("b",))[0].n_reused == 3, "each row has the key of its own stops"


def test_a_stop_string_less_reuses_nothing(work: Work) -> None:
    work.ask("a", ["a b"])
    (work.folder / "prompt.yaml").write_text(PROMPT_FILE.replace('["# Q"]', "[]"), "utf-8")
    assert work.ask("b", ["a b"], reuse_from=("a",))[0].n_reused == 0


def stopped(written: str, stops: list[str]) -> tuple[str, str]:
    """The cut and the raw text of a model that writes character after character up to a stop string."""
    for n in range(len(written) + 1):
        text, stop = cut_at_stop(written[:n], stops)
        if stop is not None:
            return text, written[:n]
    return written, written


@given(st.text("ab#"), st.text("ab#", min_size=1), st.text("ab#", min_size=1))
def test_an_answer_is_kept_under_a_further_stop_string_only_where_it_is_what_would_be_made(
    written: str, stop: str, other: str
) -> None:
    text, raw_text = stopped(written, [other])
    for raw in {raw_text, text}:  # a server leaves out what ended it
        row = Completion.model_validate(
            {
                **dict.fromkeys(("item", "language", "prompt", "engine"), "en"),
                "row_key": "0" * 64,
                "finish_reason": "stop",
                "max_new_tokens": 8,
                "text": text,
                "raw_text": raw,
            }
        )
        if would_not_stop(row, stop, (other,)):
            assert stopped(written, [other, stop])[0] == text


@pytest.mark.parametrize("decoding", [{"repetition_penalty": 1.2}, {"temperature": 0.5}, {"top_p": 0.9}])
def test_another_decoding_reuses_nothing(work: Work, decoding: dict[str, float]) -> None:
    work.ask("a", ["one", "two"])
    made, _ = work.ask("b", ["one", "two"], reuse_from=("a",), **decoding)
    assert made.n_reused == 0


def test_another_seed_reuses_nothing(work: Work) -> None:
    work.ask("a", ["one", "two"], temperature=0.5, seed=0)
    assert work.ask("b", ["one", "two"], reuse_from=("a",), temperature=0.5, seed=1)[0].n_reused == 0
    assert work.ask("c", ["one", "two"], reuse_from=("a",), temperature=0.5, seed=0)[0].n_reused == 2


def test_other_trained_weights_reuse_nothing_also_under_the_same_step(work: Work) -> None:
    for name, weights in (("t1", b"one"), ("t2", b"two"), ("t3", b"one")):
        (work.folder / name / "adapter").mkdir(parents=True)
        (work.folder / name / "adapter" / "adapter_model.safetensors").write_bytes(weights)
    work.ask("untuned", ["one", "two"])
    assert work.ask("a", ["one", "two"], reuse_from=("untuned",), tuned="t1")[0].n_reused == 0
    assert work.ask("b", ["one", "two"], reuse_from=("a",), tuned="t2")[0].n_reused == 0
    assert work.ask("c", ["one", "two"], reuse_from=("a",), tuned="t3")[0].n_reused == 2


@pytest.mark.parametrize(("limit", "is_reused"), [(2, False), (3, False), (4, True), (9, True)])
def test_an_answer_is_reused_under_a_limit_that_it_does_not_reach(
    work: Work, limit: int, is_reused: bool
) -> None:
    work.ask("a", ["a b c"], max_new_tokens=9)
    assert work.ask("b", ["a b c"], reuse_from=("a",), max_new_tokens=limit)[0].n_reused == is_reused


def test_what_a_name_stands_for_is_part_of_the_key(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "resolve", lambda settings: "commit one", raising=False)
    work.ask("a", ["one", "two"])
    assert work.ask("b", ["one", "two"], reuse_from=("a",))[0].n_reused == 2
    monkeypatch.setattr(echo, "resolve", lambda settings: "commit two")
    assert work.ask("c", ["one", "two"], reuse_from=("a",))[0].n_reused == 0


def test_a_row_says_with_what_it_was_made_and_keeps_it_when_it_is_reused(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.store.provenance.fingerprint", lambda *modules: "of older code")
    _, before = work.ask("a", ["one"])
    monkeypatch.setattr("runners.store.provenance.fingerprint", lambda *modules: " ".join(modules))
    _, after = work.ask("b", ["one", "two"], reuse_from=("a",))
    assert [row.provenance.code for row in before.values() if row.provenance] == ["of older code"]
    assert {row.text: row.provenance and row.provenance.code for row in after.values()} == {
        "one": "of older code",
        "two": "runners.steps.generate runners.engines.echo",
    }
    assert {row.text: row.batch_size for row in after.values()} == {"one": 1, "two": 1}


def test_another_prompt_text_reuses_nothing(work: Work) -> None:
    work.ask("a", ["one", "two"])
    (work.folder / "prompt.yaml").write_text(PROMPT_FILE.replace("# A:", "# B:"), "utf-8")
    assert work.ask("b", ["one", "two"], reuse_from=("a",))[0].n_reused == 0


def test_a_killed_attempt_resumes_after_its_last_whole_row(work: Work) -> None:
    work.ask("a", ["one", "two", "three"])
    file = work.folder / "a" / "completions.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1][:40])
    made, rows = work.ask("a", ["one", "two", "three"])
    assert made.n_reused == 1
    assert {row.text for row in rows.values()} == {"one", "two", "three"}


def test_a_row_that_failed_is_asked_for_again(work: Work) -> None:
    work.ask("a", ["one"])
    file = work.folder / "a" / "completions.jsonl"
    (row,) = read_rows(file, Completion)
    failed = row.model_copy(
        update={"text": None, "raw_text": None, "finish_reason": "error", "error": "the server said no"}
    )
    file.write_text(failed.model_dump_json() + "\n", "utf-8")
    made, rows = work.ask("a", ["one"])
    assert made.n_reused == 0
    assert rows["q0"].text == "one"


def test_sampled_rows_have_seeds_of_their_own_that_do_not_depend_on_other_rows(work: Work) -> None:
    _, alone = work.ask("a", ["one"], temperature=0.7)
    _, among = work.ask("b", ["one", "two"], temperature=0.7)
    assert alone["q0"].seed == among["q0"].seed
    assert among["q0"].seed != among["q1"].seed


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("Paris.\n```\n\n", "Paris."),
        ("Paris.", "Paris."),
        ("Look:\n```python\nprint(1)\n```", "Look:\n```python\nprint(1)\n```"),
        ("Look:\n```python\nprint(1)\n```\n```\n", "Look:\n```python\nprint(1)\n```"),
        ("```", ""),
        ("", ""),
        ("Use ``` to fence.", "Use ``` to fence."),
    ],
)
def test_only_the_fence_that_closes_the_prompts_own_is_dropped(written: str, answer: str) -> None:
    assert clean(written, fence_is_open=True) == answer


@given(st.text())
def test_without_an_open_fence_only_white_space_at_the_ends_goes(text: str) -> None:
    assert clean(text, fence_is_open=False) == text.strip()


@given(st.text(alphabet="ab` \n", max_size=40))
def test_cleaning_never_changes_what_is_before_the_last_line(text: str) -> None:
    assert text.strip().startswith(clean(text, fence_is_open=True))


def in_turn(
    work: Work, answers: list[str | None], reuse_from: tuple[str, ...] = (), name: str = "second"
) -> tuple[StepResult, dict[str, Completion]]:
    """Ask a second question of items whose first answers are these."""
    _, first = work.ask("first", [f"Name {n}." for n in range(len(answers))])
    before = [
        first[f"q{n}"].model_copy(update={"text": text, **({"error": "HTTP 500"} if text is None else {})})
        for n, text in enumerate(answers)
    ]
    rewrite_rows(work.folder / "first" / "completions.jsonl", before)
    data, out = work.folder / "data-second", work.folder / name
    data.mkdir(exist_ok=True)
    asked = [
        Example(
            item=row.item,
            language="en",
            turns=(Message(role="user", content=f"Name {n}."),),
            instruction="Why?",
        )
        for n, row in enumerate(before)
    ]
    rewrite_rows(data / "examples.jsonl", asked)
    out.mkdir()
    form = ChatPrompt(template=hashlib.sha256(CHAT_TEMPLATE.read_bytes()).hexdigest())
    step = GenerateStep(
        model=echo.Settings(), examples=EXAMPLES, prompt=form, decoding=Decoding(), after=FIRST
    )
    context = StepContext(
        {EXAMPLES: data, FIRST: work.folder / "first"},
        cache=work.folder / "cache",
        reuse_from=tuple(work.folder / d for d in reuse_from),
    )
    made = generate.run(step, context, out)
    return made, {row.item: row for row in read_rows(out / "completions.jsonl", Completion)}


def test_a_question_in_turn_is_asked_behind_the_answer_before_and_keeps_the_conversation(work: Work) -> None:
    made, rows = in_turn(work, ["Lima", "Oslo"])
    assert made.n_rows == 2
    assert rows["q1"].prompt == "Name 1.\nOslo\nWhy?"
    assert [(one.role, one.content) for one in rows["q1"].turns] == [
        ("user", "Name 1."),
        ("assistant", "Oslo"),
    ]


def test_a_question_behind_a_missing_answer_is_not_asked_and_says_so(work: Work) -> None:
    made, rows = in_turn(work, ["Lima", None])
    assert (made.n_rows, rows["q0"].text) == (2, "Why?")
    assert (rows["q1"].text, rows["q1"].finish_reason) == (None, "missing")
    assert rows["q1"].error == "not asked: the question before has no answer (HTTP 500)"


def test_answers_in_turn_are_reused_where_the_conversation_is_the_same(work: Work) -> None:
    in_turn(work, ["Lima", "Oslo"])
    made, rows = in_turn(work, ["Lima", "Bern"], reuse_from=("second",), name="again")
    assert made.n_reused == 1
    assert rows["q1"].turns[-1].content == "Bern"

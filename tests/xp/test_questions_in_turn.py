"""Questions that are asked in turn: each behind the model's own answers, judged and compared by item and
turn."""

import json
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest

from dsl.checks.load import load
from dsl.errors import SpecError
from dsl.steps.steps import DataStep, GenerateStep
from tests.xp.small_study import diff_of, plan_of
from xp.apply import apply
from xp.exports.exporting import export_results
from xp.imports.importing import import_results

ROWS = [
    {"id": 1, "first": "Name a town.", "second": "Why that town?"},
    {"id": 2, "first": "Name a river.", "second": "How long is that river?"},
    {"id": 3, "first": "Name a lake.", "second": None},
]


def spec(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    study = {
        "experiment": "turns",
        "languages": ["en"],
        "models": {"m": {"base": {"engine": "echo"}, "instruct": {"engine": "echo"}}},
        "data": {
            "mt": {"rows": {"path": "rows.jsonl"}, "columns": {"item": "id", "turns": ["first", "second"]}}
        },
        "evaluate": ["mt"],
        "methods": {"zero_shot": {"method": "icl", "num_fewshot": 0}, "instruct": {"method": "instruct"}},
        "judges": {"length": {"judge": "length"}, "empty": {"judge": "empty"}},
        "contrasts": {"gap": {"of": "instruct", "against": "zero_shot", "on": ["empty"]}},
        **changes,
    }
    (folder / "s.yaml").write_text(json.dumps(study), "utf-8")
    return folder / "s.yaml"


def asked(store: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("turns")
    applied = apply(diff_of(spec(folder), folder / "store"), folder / "store", in_process=True)
    assert applied.failures == ()
    return folder / "store"


def test_each_turn_is_a_step_behind_the_one_before(tmp_path: Path) -> None:
    plan = plan_of(spec(tmp_path))
    data = {id_: step.turn for id_, step in plan.steps.items() if isinstance(step, DataStep)}
    made = {id_: step for id_, step in plan.steps.items() if isinstance(step, GenerateStep)}
    assert sorted(data.values(), key=str) == [1, 2]
    assert [(data[one.examples], one.after in made) for one in made.values()] == [(1, False), (2, True)] * 2
    assert [cell.turn for cell in plan.study.cells] == [1, 2, 1, 2]
    assert len({cell.cell_id for cell in plan.study.cells}) == 4


def test_the_second_question_is_asked_behind_the_models_own_first_answer(store: Path) -> None:
    (sent,) = asked(
        store, "select prompt from shown_answers where item = '1' and turn = 2 and method = 'zero_shot'"
    )
    first, second = sent[0].index("Name a town."), sent[0].index("Why that town?")
    assert "```\nName a town.\n```\n\n# Query:" in sent[0][first + 1 : second]
    turns = asked(store, "select turns from shown_answers where item = '1' and turn = 2")
    assert (
        turns
        == [
            ([{"role": "user", "content": "Name a town."}, {"role": "assistant", "content": "Name a town."}],)
        ]
        * 2
    )


def test_an_item_without_a_second_question_has_one_turn(store: Path) -> None:
    found = asked(store, "select item, turn from completions where method = 'instruct' order by all")
    assert found == [("1", 1), ("1", 2), ("2", 1), ("2", 2), ("3", 1)]


def test_each_turn_is_scored_and_an_item_is_one_pair_of_a_contrast(store: Path) -> None:
    scores = asked(
        store,
        "select turn, mean_score, n from score_by_cell where method = 'instruct' and measure = 'empty'"
        " order by turn",
    )
    assert scores == [(1, 1.0, 3), (2, 1.0, 2)]
    pooled = asked(
        store, "select n from score_by_method_language where method = 'instruct' and measure = 'empty'"
    )
    assert pooled == [(5,)]
    assert asked(
        store, "select item, difference from paired_scores where measure = 'empty' order by item"
    ) == [
        ("1", 0.0),
        ("2", 0.0),
        ("3", 0.0),
    ]


def test_annotators_see_the_conversation_and_each_turn_is_an_answer_of_its_own(store: Path) -> None:
    labels = asked(
        store,
        "select turn, instruction from answers_to_label where item = '2' and method = 'instruct'"
        " order by turn",
    )
    assert labels == [
        (1, "Name a river."),
        (2, "[user]\nName a river.\n\n[assistant]\nName a river.\n\n[user]\nHow long is that river?"),
    ]


@pytest.mark.parametrize("format", ["inspect", "every-eval-ever"])
def test_exported_turns_come_back_as_two_sets_of_questions(
    format: Literal["inspect", "every-eval-ever"], store: Path, tmp_path: Path
) -> None:
    export_results(format, store / "warehouse.duckdb", "turns", tmp_path / "logs")
    studies = import_results(format, [tmp_path / "logs"], tmp_path / "back", ())
    assert sorted(study.name for study in studies) == ["mt_turn1", "mt_turn2"]


def test_a_second_apply_runs_nothing(store: Path) -> None:
    assert diff_of(store.parent / "s.yaml", store).todo == ()


ANSWERS = [
    {"question": 1, "choices": [{"turns": ["Ghent.", "It is old."]}]},
    {"question": 2, "choices": [{"turns": ["The Lys."]}]},
    {"question": 3, "choices": [{"turns": ["Lake Como."]}]},
]


def recorded(folder: Path, response: Any, columns: dict[str, Any] | None = None, **changes: Any) -> Path:
    """The study with recorded answers in the place of a model's."""
    folder.mkdir(exist_ok=True)
    (folder / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ANSWERS), "utf-8")
    theirs = {
        "method": "recorded",
        "answers": {"path": "theirs.jsonl"},
        "columns": {"item": "question", "response": response, **(columns or {})},
    }
    return spec(folder, methods={"theirs": theirs}, contrasts={}, **changes)


def test_recorded_turns_are_the_answers_of_the_turns_and_one_too_few_is_missing(tmp_path: Path) -> None:
    path = recorded(tmp_path / "s", ["choices.0.turns.0", "choices.0.turns.1"])
    (warning,) = [str(one) for one in load(path).warnings if "theirs.jsonl" in str(one)]
    # the third item has no second question, so no second answer is missing
    assert (
        "1 of 2 rows of theirs.jsonl give no answer: row 2: `choices.0.turns.1` asks for entry 1" in warning
    )
    store = tmp_path / "store"
    assert apply(diff_of(path, store), store, in_process=True).failures == ()
    found = asked(store, "select item, turn, text, error from shown_answers order by item, turn")
    assert [row[:3] for row in found] == [
        ("1", 1, "Ghent."),
        ("1", 2, "It is old."),
        ("2", 1, "The Lys."),
        ("2", 2, None),
        ("3", 1, "Lake Como."),
    ]
    assert found[3][3].startswith("no recorded answer for item 2 in theirs.jsonl: row 2: `choices")
    (conversation,) = asked(store, "select turns from shown_answers where item = '1' and turn = 2")[0]
    assert conversation == [
        {"role": "user", "content": "Name a town."},
        {"role": "assistant", "content": "Ghent."},
    ]


def test_a_later_answer_behind_a_missing_one_is_missing_too(tmp_path: Path) -> None:
    path = recorded(tmp_path / "s", ["choices.0.turns.1", "choices.0.turns.0"])
    store = tmp_path / "store"
    assert apply(diff_of(path, store), store, in_process=True).failures == ()
    found = asked(store, "select item, text, error from shown_answers where turn = 2 order by item")
    assert [row[:2] for row in found] == [("1", "Ghent."), ("2", None)]
    assert found[1][2].startswith("no answer is taken: the question before has no answer (no recorded answer")


@pytest.mark.parametrize(
    ("response", "columns", "why"),
    [
        ("choices.0.turns.0", {}, "`mt` asks 2 questions in turn, and `response` names one column"),
        (["a", "b", "c"], {}, "`mt` asks 2 questions in turn, and `response` names `a`, `b`, `c`"),
        (["a", "b"], {"item": None, "instruction": "q"}, "answers in several turns are matched by `item`"),
        (["a", "b"], {"instruction": "q"}, "matched by `item` alone: leave `instruction` out"),
    ],
)
def test_recorded_answers_that_do_not_fit_the_turns_are_refused(
    response: Any, columns: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError) as refused:
        load(recorded(tmp_path, response, columns))
    assert why in str(refused.value)


def test_answers_in_turns_to_questions_that_are_not_are_refused(tmp_path: Path) -> None:
    once = {"mt": {"rows": {"path": "rows.jsonl"}, "columns": {"item": "id", "instruction": "first"}}}
    with pytest.raises(SpecError, match="`mt` asks one question a row, and `response` names `a`, `b`"):
        load(recorded(tmp_path, ["a", "b"], data=once))


VERDICTS = [{"id": item, "turn": turn, "score": item + turn} for item in (1, 2, 3) for turn in (1, 2)]


def verdicts(folder: Path, rows: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in VERDICTS), "utf-8")
    theirs = {
        "judge": "recorded",
        "verdicts": {"path": "verdicts.jsonl", **rows},
        "columns": {"item": "id", "score": "score"},
    }
    return recorded(folder, ["choices.0.turns.0", "choices.0.turns.1"], judges={"theirs": theirs})


def test_recorded_verdicts_are_taken_for_the_turn_that_they_name(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = verdicts(tmp_path / "s", {"where": {"turn": "{turn}"}})
    assert apply(diff_of(path, store), store, in_process=True).failures == ()
    found = asked(store, "select item, turn, score from verdicts where score is not null order by all")
    assert found == [("1", 1, 2.0), ("1", 2, 3.0), ("2", 1, 3.0), ("3", 1, 4.0)]


def test_verdicts_that_would_be_taken_for_both_turns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load(verdicts(tmp_path, {}))
    said = str(refused.value)
    assert (
        "the same verdicts would be taken for the answers of theirs on m turn 1 and of theirs on m turn 2"
        in said
    )
    assert "Put `{turn}` into the path or `where`" in said

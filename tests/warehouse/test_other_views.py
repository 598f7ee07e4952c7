"""Errors, verdicts without a score, costs, training curves, lengths and the browser, on rows one can
count."""

import pytest
from scipy import stats

from dsl.data.records import Example, Outcome
from tests.warehouse.conftest import Ask
from tests.warehouse.stores import StoreMaker


def test_a_critical_errors_share_is_of_the_answers_a_judge_could_judge(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(
        scores={
            "loop": {"1": 1.0, "2": 0.0, "3": 1.0, "4": "no answer"},
            "tongue=language": {"1": 0.0, "2": "too short", "3": 0.0, "4": "no answer"},
        },
        texts={"1": "a", "2": "b", "3": "c", "4": None},
        finish_reason={"1": "length", "2": "length"},
    )
    maker.study()
    rows = {(row["error"], row["measure"]): row for row in ask("from critical_errors_by_cell")}
    assert {key: (row["share"], row["n"], row["n_unscored"]) for key, row in rows.items()} == {
        ("loop", "loop"): (pytest.approx(1 / 3), 3, 1),
        ("language", "tongue"): (1.0, 2, 2),
        ("cut", "cut"): (pytest.approx(2 / 3), 3, 1),
    }
    interval = stats.binomtest(1, 3).proportion_ci(0.95, method="wilson")
    assert rows["loop", "loop"]["ci_low"] == pytest.approx(interval.low, abs=1e-6)
    assert rows["loop", "loop"]["ci_high"] == pytest.approx(interval.high, abs=1e-6)
    assert 0 < rows["language", "tongue"]["ci_low"] < 1 == rows["language", "tongue"]["ci_high"]


def test_seeds_of_one_item_do_not_narrow_the_interval_of_an_errors_share(maker: StoreMaker, ask: Ask) -> None:
    for seed in (0, 1):
        maker.cell(seed=seed, scores={"loop": {"1": 1.0, "2": 0.0}})
    maker.study()
    (row,) = ask("from critical_errors_by_cell where error = 'loop'")
    assert (row["share"], row["n"]) == (0.5, 2)
    assert row["ci_low"] == pytest.approx(
        stats.binomtest(1, 2).proportion_ci(0.95, method="wilson").low, abs=1e-6
    )


def test_an_error_that_nobody_could_judge_has_no_share(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(scores={"code": {"1": "no answer"}}, texts={"1": None})
    maker.study()
    rows = ask("from critical_errors_by_cell")
    assert {
        (row["error"], row["share"], row["ci_low"], row["ci_high"], row["n"], row["n_unscored"])
        for row in rows
    } == {
        ("code", None, None, None, 0, 1),
        ("cut", None, None, None, 0, 1),
    }


def test_the_commonest_reason_stands_beside_the_count_of_unscored_verdicts(
    maker: StoreMaker, ask: Ask
) -> None:
    maker.cell(scores={"contains": {"1": 1.0, "2": "no answer", "3": "unreadable", "4": "unreadable"}})
    maker.cell("other", scores={"contains": {"1": 1.0}})
    maker.study()
    rows = {row["method"]: row for row in ask("from unscored_by_judge")}
    assert (rows["icl"]["n"], rows["icl"]["n_unscored"], rows["icl"]["share_unscored"]) == (1, 3, 0.75)
    assert rows["icl"]["most_common_reason"] == "unreadable"
    assert (
        rows["other"]["n_unscored"],
        rows["other"]["share_unscored"],
        rows["other"]["most_common_reason"],
    ) == (0, 0.0, None)


def test_a_steps_cost_is_there_once_whomever_it_serves(maker: StoreMaker, ask: Ask) -> None:
    first = maker.cell("a", scores={"contains": {"1": 1.0, "2": 1.0}})
    maker.cell("b", generate=first.generate, language="fr")
    maker.study()
    maker.run("run-1", first.generate, "failed", error="out of memory")
    maker.run("run-2", first.generate)
    rows = {row["kind"]: row for row in ask("from cost_by_step")}
    assert set(rows) == {"generate", "judge"}
    made = rows["generate"]
    assert (made["step_id"], made["methods"], made["languages"]) == (first.generate, ["a", "b"], ["en", "fr"])
    assert (made["n_rows"], made["n_prompt_tokens"], made["n_new_tokens"], made["usd"]) == (2, 20, 10, None)
    assert (made["n_attempts"], made["n_failed"], made["attempt_seconds"], made["seconds"]) == (
        2,
        1,
        6.0,
        2.0,
    )
    assert (made["made_by"], made["last_error"], made["is_done"]) == ("trial", "out of memory", True)
    assert (rows["judge"]["n_prompt_tokens"], rows["judge"]["usd"], rows["judge"]["n_attempts"]) == (
        40,
        0.5,
        0,
    )


def test_a_models_start_and_loading_are_separate_from_its_work(maker: StoreMaker, ask: Ask) -> None:
    sft, dpo = maker.train("sft", [2.0]), maker.train("dpo", [0.7])
    for step, start, load in ((sft, 1.0, 0.5), (dpo, 0.0, 0.25)):
        path = maker.folder / "steps" / step / "outcome.json"
        outcome = Outcome.model_validate_json(path.read_text("utf-8"))
        path.write_text(
            outcome.model_copy(update={"start_seconds": start, "load_seconds": load}).model_dump_json(),
            "utf-8",
        )
    maker.cell("sft", scores={"contains": {"1": 1.0}}, train=(sft,))
    maker.cell("dpo", scores={"contains": {"1": 1.0}}, train=(sft, dpo))
    maker.study()
    rows = {row["kind"]: row for row in ask("from cost_by_model")}
    names = ("n_steps", "seconds", "start_seconds", "load_seconds", "work_seconds")
    assert {kind: tuple(row[name] for name in names) for kind, row in rows.items()} == {
        "sft": (1, 2.0, 1.0, 0.5, 0.5),
        "dpo": (1, 2.0, 0.0, 0.25, 1.75),
        "generate": (2, 4.0, 0.0, 0.0, 4.0),
    }
    assert {row["model"] for row in rows.values()} == {"tiny"}


def test_a_reference_steps_pairs_are_there_once_however_often_it_is_made(maker: StoreMaker, ask: Ask) -> None:
    maker.cell("dpo", scores={"contains": {"1": 1.0}}, train=(maker.reference(), maker.train("dpo", [0.7])))
    maker.study()
    assert len(ask("from ref_logps")) == 1
    outcome = maker.folder / "steps" / maker.reference() / "outcome.json"
    # made again
    outcome.write_text(outcome.read_text("utf-8").replace('"seconds":2.0', '"seconds":3.0'), "utf-8")
    maker.study()
    (row,) = ask("from ref_logps")
    assert (row["item"], row["ref_chosen_logps"], row["ref_rejected_logps"], row["n_tokens"]) == (
        "1",
        -3.5,
        -9.0,
        12,
    )


def test_a_failed_step_is_listed_with_its_error(maker: StoreMaker, ask: Ask) -> None:
    cell = maker.cell(generate="generate-aaaaaaaaaaaaaaaa")
    maker.study()
    maker.run("run-1", cell.generate, "failed", error="CUDA out of memory")
    (row,) = ask("from cost_by_step")
    assert (row["step_id"], row["is_done"], row["n_rows"], row["last_error"]) == (
        cell.generate,
        False,
        None,
        "CUDA out of memory",
    )


def test_a_training_curve_shows_every_stage_of_a_method_once(maker: StoreMaker, ask: Ask) -> None:
    sft, dpo = maker.train("sft", [2.0, 1.0]), maker.train("dpo", [0.7], facts={"diverged_at_step": 2})
    for language in ("en", "fr"):
        maker.cell(
            "sft",
            scores={"contains": {"1": 1.0}},
            train=(sft,),
            train_languages=("en",),
            seed=0,
            language=language,
        )
        maker.cell(
            "dpo",
            scores={"contains": {"1": 1.0}},
            train=(sft, dpo),
            train_languages=("en",),
            seed=0,
            language=language,
        )
    maker.study()
    rows = ask("from training_curve")
    found = sorted(
        (row["method"], row["kind"], row["position"], row["is_last"], row["global_step"], row["value"])
        for row in rows
    )
    assert found == [
        ("dpo", "dpo", 1, True, 1, 0.7),
        ("dpo", "sft", 0, False, 1, 2.0),
        ("dpo", "sft", 0, False, 2, 1.0),
        ("sft", "sft", 0, True, 1, 2.0),
        ("sft", "sft", 0, True, 2, 1.0),
    ]
    assert {(row["step_id"], row["diverged_at_step"]) for row in rows} == {(sft, None), (dpo, 2)}
    effort = {row["method"]: row["n_diverged"] for row in ask("from tuning_effort")}
    assert effort == {"sft": 0, "dpo": 1}


def test_trials_of_a_method_are_one_stage_and_the_chosen_one_is_marked(maker: StoreMaker, ask: Ask) -> None:
    below, worse, better = maker.train("sft", [2.0]), maker.train("dpo", [0.7]), maker.train("dpo", [0.6])
    train = (below, worse, better, maker.select({worse: 0.5, better: 0.4}))
    maker.cell("dpo", scores={"contains": {"1": 1.0}}, train=train, train_languages=("en",), seed=0)
    maker.study()
    found = {row["step_id"]: row for row in ask("from training_curve")}
    names = ("position", "is_last", "is_chosen", "varied")
    assert {step: tuple(found[step][name] for name in names) for step in found} == {
        below: (0, False, True, None),
        worse: (3, True, False, "training.learning_rate: 1"),
        better: (3, True, True, "training.learning_rate: 2"),
    }
    tried = ask("select trial_id, best_metric, n, is_chosen from tuning_trials")
    assert [tuple(row.values()) for row in tried] == [(worse, 0.5, 9, False), (better, 0.4, 9, True)]


def test_effort_counts_every_training_behind_a_method_once(maker: StoreMaker, ask: Ask) -> None:
    facts = {"global_step": 10, "n_validation_rows": 9}
    sft, one, other = (maker.train(kind, [2.0], 100, facts) for kind in ("sft", "dpo", "dpo"))
    select = maker.select({one: 0.5, other: 0.4}, {"n_trials": 2, "n_validation_rows": 9})
    for language in ("en", "fr"):
        maker.cell("sft", scores={"contains": {"1": 1.0}}, train=(sft,), language=language)
        train = (sft, one, other, select)
        maker.cell("dpo", scores={"contains": {"1": 1.0}}, train=train, language=language)
    maker.cell("icl", scores={"contains": {"1": 1.0}})
    maker.study()
    names = ("n_trainings", "n_tried", "n_optimiser_steps", "n_tokens", "seconds", "n_validation_rows", "n")
    assert {row["method"]: tuple(row[name] for name in names) for row in ask("from tuning_effort")} == {
        "dpo": (3, 2, 30, 300, 8.0, 9, 2),
        "icl": (0, None, None, None, None, None, 1),
        "sft": (1, 1, 10, 100, 2.0, 9, 2),
    }


def test_lengths_are_of_the_answers_that_exist(maker: StoreMaker, ask: Ask) -> None:
    maker.cell(texts={"1": "", "2": "aa", "3": "ééééééé", "4": None})
    maker.study()
    (row,) = ask("from length_by_method_language")
    assert (row["mean_characters"], row["median_characters"], row["mean_new_tokens"]) == (3.0, 2.0, 5.0)
    assert (row["n"], row["n_missing"]) == (3, 1)


def test_the_browser_holds_question_answer_and_every_verdict(maker: StoreMaker, ask: Ask) -> None:
    asked = maker.data(
        [Example(item="1", language="en", instruction="2 + 2?", answers=("4", "four"), category="sums")]
    )
    cell = maker.cell(
        texts={"1": "4"},
        examples=asked,
        seed=3,
        scores={"contains": {"1": 1.0, "2": 0.0}, "aspects=rubric": {"depth": {"1": "unreadable"}}},
    )
    maker.cell("silent", texts={"1": None}, examples=asked)
    maker.study()
    row, silent = ask("from completion_browser order by method")
    assert (row["cell_id"], row["item"], row["instruction"], row["category"]) == (
        cell.cell_id,
        "1",
        "2 + 2?",
        "sums",
    )
    assert (row["prompt"], row["text"], row["accepted_answers"], row["finish_reason"]) == (
        "question 1",
        "4",
        ["4", "four"],
        "eos",
    )
    assert row["scores"] == [
        {
            "measure": "aspects.depth",
            "score": None,
            "parts": None,
            "unscored_reason": "unreadable",
            "reason": None,
        },
        {"measure": "contains", "score": 1.0, "parts": None, "unscored_reason": None, "reason": None},
    ]
    assert (silent["text"], silent["error"], silent["scores"]) == (None, "no recorded answer", None)


def test_a_step_shared_by_two_cells_counts_in_each(maker: StoreMaker, ask: Ask) -> None:
    first = maker.cell("greedy", seed=0, scores={"contains": {"1": 1.0, "2": 0.0}})
    maker.cells.append(first.model_copy(update={"cell_id": "cell-ffffffffffffffff", "method": "same"}))
    maker.study()
    rows = ask("from score_by_cell")
    assert {(row["method"], row["mean_score"], row["n"], row["mean_characters"]) for row in rows} == {
        ("greedy", 0.5, 2, 4.0),
        ("same", 0.5, 2, 4.0),
    }


def test_two_studies_that_share_a_step_do_not_mix(maker: StoreMaker, ask: Ask) -> None:
    shared = maker.cell("icl", scores={"contains": {"1": 1.0, "2": 0.0}})
    maker.cell("sft", scores={"contains": {"1": 1.0, "2": 1.0}})
    maker.study("one")
    maker.cells.append(shared.model_copy(update={"cell_id": "cell-ffffffffffffffff"}))
    maker.study("two")
    rows = ask("select experiment, method, mean_score, n from score_by_method_language order by all")
    assert [tuple(row.values()) for row in rows] == [
        ("one", "icl", 0.5, 2),
        ("one", "sft", 1.0, 2),
        ("two", "icl", 0.5, 2),
    ]
    assert {
        row["experiment"]: row["n"]
        for row in ask("select experiment, count(*) as n from cost_by_step group by all")
    } == {
        "one": 4,
        "two": 2,
    }
    assert len(ask("from step_completions")) == 4

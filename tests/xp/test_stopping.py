"""Studies that stop asking once a contrast is settled, against a real HTTP server."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dsl.checks.load import load
from dsl.confidence_sequence import ConfidenceSequence
from dsl.data.random_order import in_random_order
from dsl.data.records import Look
from dsl.errors import SpecError
from dsl.steps.steps import SequentialTestStep
from runners.store.looks import last_look
from runners.store.store import Store
from tests.runners.engines.fake_server import Asked, Running, Said, chat, completion, serving
from tests.xp.test_apply_served import served
from warehouse.report import write_paper, write_report
from warehouse.report.reading import read_study
from warehouse.report.sections.contrasts import contrasts
from xp.api import Study
from xp.apply import apply
from xp.plan.rows import Rows
from xp.render.labels import groups_of
from xp.studies import diff_for, status_of

N_ITEMS = 60
N_LOOKS = 6
BARE = {"method": "icl", "num_fewshot": 0, "preamble": False}
RULE = {"contrast": "gain", "excludes": 0, "looks": N_LOOKS}


def write_study(folder: Path, server: Running | str, **changes: Any) -> Path:
    """Two methods that the server can distinguish: one shows an instruction above the question."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"item": f"q{i}", "instruction": f"What is {i} + {i}?", "answers": ["right"]} for i in range(N_ITEMS)
    ]
    (folder / "en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = {
        "experiment": "stops",
        "languages": ["en"],
        "models": {"m": {"base": served(server)}},
        "data": {
            "sums": {
                "rows": {"path": "{language}.jsonl"},
                "columns": {"item": "item", "instruction": "instruction", "answers": "answers"},
            }
        },
        "evaluate": ["sums"],
        "methods": {
            "told": {"method": "icl", "num_fewshot": 0},
            "bare": BARE,
            "urial": {"method": "icl", "num_fewshot": 0, "prompt": "urial"},
        },
        "decoding": {"max_new_tokens": 16},
        "judges": {"correct": {"judge": "contains"}, "length": {"judge": "length"}},
        "contrasts": {"gain": {"of": "told", "against": "bare", "on": ["correct"]}},
        "baseline": "urial",
        "stop_when": RULE,
    }
    spec = folder / "stops.yaml"
    spec.write_text(yaml.safe_dump({**study, **changes}, sort_keys=False), "utf-8")
    return spec


def is_told(asked: Asked) -> bool:
    return len(asked.prompt) > 200


def better_when_told(asked: Asked) -> Said:
    return completion("right" if is_told(asked) else "wrong")


def judging_when_told(asked: Asked) -> Said:
    if asked.path.endswith("chat/completions"):
        return chat(json.dumps({"clarity": {"reason": "read", "score": 4}}))
    return better_when_told(asked)


def equal(asked: Asked) -> Said:
    return completion("right")


def run(spec: Path) -> Path:
    store = spec.parent / "store"
    applied = apply(diff_for(spec, None, None, store), store, in_process=True)
    assert (applied.n_failed, applied.n_skipped) == (0, 0), applied.failures
    return store


def rows(store: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(store / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_settled_contrast_asks_no_more_and_other_methods_are_asked_everything(tmp_path: Path):
    with serving(better_when_told) as server:
        store = run(write_study(tmp_path, server))
    look = settled_look(store)
    assert look.n < N_ITEMS
    assert rows(store, "select method, count(*) from completions group by all order by all") == [
        ("bare", look.n),
        ("told", look.n),
        ("urial", N_ITEMS),
    ]
    assert len(server.asked) == 2 * look.n + N_ITEMS
    asked_items = {item for (item,) in rows(store, "select item from completions where method = 'told'")}
    every = [f"q{i}" for i in range(N_ITEMS)]
    assert asked_items == {*in_random_order(every, str, 0)[: look.n]}
    ((n_slices,),) = rows(
        store, "select count(*) from study_steps where kind = 'generate' and models = ['m']"
    )
    assert n_slices == 2 * N_LOOKS + 3
    ((n, cost_rows),) = rows(store, "select count(*), sum(n_rows) from looks join steps using (step_id)")
    assert (n, cost_rows) == (N_LOOKS, N_LOOKS)


def test_a_plan_counts_each_answer_once_in_the_line_of_its_method_and_at_most(tmp_path: Path):
    spec = write_study(tmp_path, "http://localhost:1/v1")
    planned = Study(spec, tmp_path / "store").plan()
    lines = {line.method: line for line in planned.overview.lines}
    assert len(lines["data"].steps) == 1
    assert [len(ids) for name, ids in groups_of(planned.diff).items() if name == "data"] == [1]
    assert {method: line.answers for method, line in lines.items() if method != "data"} == {
        "told": Rows(N_ITEMS, N_ITEMS, is_most=True),
        "bare": Rows(N_ITEMS, N_ITEMS, is_most=True),
        "urial": Rows(N_ITEMS, N_ITEMS),
    }
    made = {method: (line.verdicts.n_made, line.verdicts.is_most) for method, line in lines.items()}
    assert made == {
        "data": (0, False),
        "told": (2 * N_ITEMS, True),
        "bare": (2 * N_ITEMS, True),
        "urial": (2 * N_ITEMS, True),
    }
    assert planned.estimates.total().n_requests == 3 * N_ITEMS


def looks_of(store: Path) -> list[Look]:
    held = Store(store)
    return [last_look(held.step_folder(one)) for one in held.done() if one.startswith("sequential_test-")]


def settled_look(store: Path) -> Look:
    """The one that settled the contrast, which all after it repeat."""
    look, *others = [look for look in looks_of(store) if look.is_settled]
    assert all(other == look for other in others)
    return look


def test_a_contrast_without_a_difference_is_asked_to_the_last_item(tmp_path: Path):
    with serving(equal) as server:
        store = run(write_study(tmp_path, server))
    assert len(server.asked) == 3 * N_ITEMS
    assert sorted(look.n for look in looks_of(store) if not look.is_settled) == [10, 20, 30, 40, 50, 60]
    assert rows(
        store,
        "select ci_low < 0 and ci_high > 0, e_value, n from contrast_by_language_and_size"
        " where contrast = 'gain' and judge = 'correct'",
    ) == [(True, 0.5, N_ITEMS)]
    says = contrasts(read_study(store / "warehouse.duckdb", "stops")).says
    assert (
        sum("once `gain` is settled (excludes 0, 6 looks), as it is in 0 of 1 place" in s for s in says) == 1
    )


def test_warehouse_and_report_show_confidence_sequence_and_e_value_and_mark_other_contrasts(tmp_path: Path):
    with serving(better_when_told) as server:
        spec = write_study(tmp_path, server)
        store = run(spec)
    settled = settled_look(store)
    sequence = ConfidenceSequence([1.0] * settled.n, -1, 1)
    ((e_value, p_value, low, high, se, family, stopped_by, correction),) = rows(
        store,
        "select e_value, p_value, ci_low, ci_high, standard_error, family, stopped_by, correction"
        " from contrast_by_language_and_size where contrast = 'gain' and judge = 'correct'",
    )
    assert (e_value, low, high) == (settled.e_value, settled.ci_low, settled.ci_high)
    assert (e_value, (low, high)) == (sequence.e_value(0), sequence.interval())
    assert (p_value, se, family, stopped_by) == (1 / e_value, None, "confirmatory", "gain")
    assert correction == "e_holm"
    others = rows(
        store,
        "select contrast, measure, stopped_by, e_value is null, ci_low is null, n"
        " from contrast_by_language_and_size where contrast <> 'gain' order by all",
    )
    n = settled.n
    assert others == [  # a length has no scale, and so no bets
        ("bare_vs_urial", "correct", "gain", False, False, n),
        ("bare_vs_urial", "length", "gain", True, True, n),
        ("told_vs_urial", "correct", "gain", False, False, n),
        ("told_vs_urial", "length", "gain", True, True, n),
    ]
    page = write_report(store / "warehouse.duckdb", "stops", tmp_path / "report.html")
    text = unescape(re.sub("</?code>", "`", page.read_text("utf-8"))).replace("\xa0", " ")
    assert "Asking stops once `gain` is settled (excludes 0, 6 looks), as it is in 1 of 1 place:" in text
    assert "after Holm's correction of e-values" in text
    assert "Sign-flip permutation test" not in text
    assert "† marks them all" in text


def test_a_mean_of_a_stopped_method_has_a_confidence_sequence_on_a_scale_and_else_no_interval(tmp_path: Path):
    with serving(better_when_told) as server:
        store = run(write_study(tmp_path, server))
    n = settled_look(store).n
    low, high = ConfidenceSequence([1.0] * n, 0, 1).interval()
    for view in ("score_by_method_language", "score_by_cell"):
        found = rows(
            store,
            f"select method, ci_low, ci_high, standard_error, stopped_by, n from {view}"
            " where measure = 'correct' order by method",
        )
        bare, told, (*_, whole_low, _, _, stopped_by, _) = found
        assert told == ("told", low, high, None, "gain", n)
        assert bare == ("bare", *ConfidenceSequence([0.0] * n, 0, 1).interval(), None, "gain", n)
        assert (whole_low is None, stopped_by) == (False, None), "urial was asked everything"
    assert rows(
        store,
        "select method, ci_low is null, standard_error is null, stopped_by from score_by_method_language"
        " where measure = 'length' order by method",
    ) == [("bare", True, True, "gain"), ("told", True, True, "gain"), ("urial", True, False, None)]
    assert rows(store, "select method, ci_low is null, stopped_by from score_by_model_size order by all") == [
        *[("bare", True, "gain")] * 2,
        *[("told", True, "gain")] * 2,
        *[("urial", False, None), ("urial", True, None)],
    ]
    write_paper(store / "warehouse.duckdb", "stops", tmp_path / "report.tex")
    assert "\\textdagger{}" in (tmp_path / "report.tex").read_text("utf-8")


def test_gaps_between_languages_and_trends_of_stopped_contrasts_have_no_interval_and_no_test(tmp_path: Path):
    """Two languages on four models."""
    with serving(better_when_told) as server:
        spec = write_study(
            tmp_path,
            server,
            languages=["en", "fr"],
            models={
                f"m{n}": {"base": {**served(server), "name": f"m{n}"}, "parameters": 10**n}
                for n in (6, 7, 8, 9)
            },
            methods={"told": {"method": "icl", "num_fewshot": 0}, "bare": BARE},
            baseline=None,
            stop_when={**RULE, "looks": 2},
        )
        english = (tmp_path / "en.jsonl").read_text("utf-8").splitlines(keepends=True)[:12]
        (tmp_path / "en.jsonl").write_text("".join(english), "utf-8")
        french = "".join(english).replace("What is", "Combien font")
        (tmp_path / "fr.jsonl").write_text(french, "utf-8")
        store = run(spec)
    tested = "count(*), count(ci_low), count(p_value), count(p_corrected), count(stopped_by)"
    for view in ("language_gap", "size_trend", "language_gap_size_trend", "score_size_trend"):
        ((n, *tests, n_marked),) = rows(store, f"select {tested} from {view} where measure = 'correct'")
        assert (n > 0, tests, n_marked) == (True, [0, 0, 0], n), view
    assert write_report(store / "warehouse.duckdb", "stops", tmp_path / "report.html").exists()


def test_view_and_report_say_what_stopping_saved(tmp_path: Path):
    judge = {"judge": "rubric", "aspects": ["clarity"]}
    with serving(judging_when_told) as server:
        opinion = {**judge, "model": served(server)}
        spec = write_study(tmp_path, server, judges={"correct": {"judge": "contains"}, "opinion": opinion})
        store = run(spec)
    n = settled_look(store).n
    n_left = N_ITEMS - n
    tokens = rows(
        store,
        "select sum(n_tokens) from (select sum(n_prompt_tokens + n_new_tokens) as n_tokens from completions"
        " where method <> 'urial' union all select sum(n_prompt_tokens + n_new_tokens) from verdicts"
        " where method <> 'urial')",
    )[0][0]
    place = ("stops", "gain", "excludes 0, 6 looks", "sums", "en", "m")
    assert rows(store, "from saved_by_stopping") == [
        (*place, N_ITEMS, n, 4 * n_left, round(tokens * n_left / n))
    ]
    says = contrasts(read_study(store / "warehouse.duckdb", "stops")).says
    assert any(
        f"Of {N_ITEMS} items {n} were asked of each side, which saved {4 * n_left} requests and about" in one
        for one in says
    )


def test_plan_and_status_say_what_was_saved(tmp_path: Path):
    with serving(better_when_told) as server:
        spec = write_study(tmp_path, server)
        store = run(spec)
    (study,) = status_of(store).studies
    (line,) = study.chosen
    look = settled_look(store)
    assert line == (
        f"to stop after {look.number} of 6 slices of sums en on m, since gain is settled (difference 1"
        f" [{look.ci_low:.2g}, 1], e-value {look.e_value:.3g}, {look.n} items); {6 - look.number} slices are"
        " not asked"
    )
    assert diff_for(spec, None, None, store).chosen == (line,)


def test_a_stopped_study_is_finished_and_a_rule_that_settles_later_asks_on_from_there(tmp_path: Path):
    with serving(better_when_told) as server:
        store = run(spec := write_study(tmp_path, server))
        assert diff_for(spec, None, None, store).todo == ()
        n_before = len(server.asked)
        run(write_study(tmp_path, server, stop_when={"contrast": "gain", "ci_width": 0.01, "looks": N_LOOKS}))
    assert len(server.asked) == 3 * N_ITEMS > n_before


def test_the_rule_is_part_of_its_cells_ids_alone_and_the_contrasts_name_is_not(tmp_path: Path):
    def steps(**changes: Any) -> set[str]:
        spec = write_study(tmp_path, "http://localhost:1/v1", **changes)
        return {*diff_for(spec, None, None, tmp_path / "store").plan.steps}

    with_rule, without = steps(), steps(stop_when=None)
    kept = {step.partition("-")[0] for step in without & with_rule}
    assert kept == {"data", "generate", "judge"}  # urial's
    assert len(without - with_rule) == 4  # both sides' answers and verdicts
    renamed = {"contrasts": {"other": {"of": "told", "against": "bare", "on": ["correct"]}}}
    assert steps(stop_when={**RULE, "contrast": "other"}, **renamed) == with_rule
    assert steps(stop_when={**RULE, "excludes": 0.1}) != with_rule
    loaded = diff_for(write_study(tmp_path, "http://localhost:1/v1"), None, None, tmp_path / "store")
    assert sum(isinstance(step, SequentialTestStep) for step in loaded.plan.steps.values()) == N_LOOKS


@pytest.mark.parametrize(
    ("other", "n"),
    [
        ({"of": "urial", "against": "bare", "on": ["correct", "length"]}, 4 + 4 * 2),
        ({"of": {"model": "m"}, "against": {"model": "n"}, "on": ["correct"]}, 4 + 2 * 4),
        ({"of": "urial", "against": "plain", "on": ["correct"], "by": ["language"]}, 4 + 4),
    ],
)
def test_a_difference_is_settled_at_the_level_of_all_confirmatory_tests_together(
    other: dict[str, Any], n: int, tmp_path: Path
):
    """Two languages on two models."""
    model = {"base": served("http://localhost:1/v1")}
    spec = write_study(
        tmp_path,
        "http://localhost:1/v1",
        contrasts={"gain": {"of": "told", "against": "bare", "on": ["correct"]}, "other": other},
        languages=["en", "fr"],
        models={"m": model, "n": {"base": {**model["base"], "name": "another"}}},
        methods={
            "bare": BARE,
            "told": {"method": "icl", "num_fewshot": 0},
            "urial": {"method": "icl", "num_fewshot": 0, "prompt": "urial"},
            "plain": {**BARE, "prompt": "urial"},
        },
    )
    english = (tmp_path / "en.jsonl").read_text("utf-8")
    (tmp_path / "fr.jsonl").write_text(english.replace("What is", "Combien font"), "utf-8")
    plan = diff_for(spec, None, None, tmp_path / "store").plan
    looks = [step for step in plan.steps.values() if isinstance(step, SequentialTestStep)]
    assert len(looks) == 2 * 2 * N_LOOKS
    assert {look.alpha for look in looks} == {0.05 / n}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_when": {"contrast": "gian", "excludes": 0}}, "there is no contrast `gian`. Did you mean"),
        ({"stop_when": {"contrast": "gain"}}, "name one of `excludes` (as 0, no difference) and `ci_width`"),
        ({"seeds": [0, 1], "decoding": {"temperature": 0.7}}, "`told` has 2 cells in `en` on `m`"),
        (
            {"methods": {"told": {"method": "icl", "noise": True}, "bare": BARE, "urial": BARE}},
            "(seeds, turns, `noise` or languages tuned on)",
        ),
        ({"reuse": "same_fingerprint"}, "`stop_when` needs `reuse: any`"),
        (
            {"contrasts": {"gain": {"of": "told", "against": "bare", "on": ["correct", "length"]}}},
            "`gain` is declared on several measures, or on none",
        ),
        (
            {"contrasts": {"gain": {"of": "told", "against": "bare", "on": ["length"]}}},
            "`length` has no lowest and highest score",
        ),
        (
            {"contrasts": {"gain": {"of": "told", "against": "bare", "on": ["correct"], "by": ["language"]}}},
            "`gain` is no difference of two methods",
        ),
        (
            {
                "contrasts": {
                    "gain": {"of": "told", "against": "bare", "on": ["correct"]},
                    "gap": {"of": "urial", "against": "told", "on": ["correct"], "by": ["language"]},
                }
            },
            "`gain` stops the asking of a method of this contrast, whose changes with language are tested",
        ),
        (
            {"stop_when": {"contrast": "gain", "excludes": -1.1}},
            "a difference is between -1 and 1: -1.1 is excluded before any item is asked",
        ),
        ({"stop_when": {"contrast": "gain", "ci_width": 2}}, "name a width below 2"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(changes: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(SpecError) as caught:
        load(write_study(tmp_path, "http://localhost:1/v1", **changes))
    assert message in str(caught.value)

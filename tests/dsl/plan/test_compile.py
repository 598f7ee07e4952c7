"""The matrix becomes cells, cells become steps, and equal steps are one."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsl.checks.load import load
from dsl.data.fingerprints import Fingerprints
from dsl.errors import SpecError
from dsl.plan.compile import compile
from dsl.plan.diff import diff
from dsl.plan.study import Plan
from dsl.steps.prompt_forms import TextPrompt
from dsl.steps.steps import DpoStep, GenerateStep, JudgeStep, ReferenceLogpsStep, SelectStep, SftStep

COLUMNS = {name: name for name in ("item", "instruction", "response", "chosen", "rejected")}


def study(**changes: Any) -> dict[str, Any]:
    return {
        "experiment": "small",
        "languages": ["en", "fr"],
        "seeds": [0, 1],
        "models": {
            "m": {
                "base": {"hub": "a/base", "revision": "1"},
                "instruct": {"hub": "a/instruct", "revision": "1"},
            }
        },
        "data": {
            "rows": {"rows": {"path": "rows_{language}.jsonl"}, "columns": COLUMNS, "allow_overlap": True}
        },
        "evaluate": ["rows"],
        "methods": {"urial": {"method": "icl"}, "sft": {"method": "sft", "train": "rows"}},
        "judges": {"empty": {"judge": "empty"}},
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language in ("en", "fr", "es"):
        row = {name: f"{name} {language}" for name in COLUMNS} | {"item": "1"}
        (tmp_path / f"rows_{language}.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    return tmp_path


def planned(folder: Path, **changes: Any) -> Plan:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study(**changes), sort_keys=False), "utf-8")
    loaded = load(path)
    return compile(loaded.experiment, Fingerprints(), loaded.origin)


def kinds(plan: Plan) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in plan.steps.values():
        found[step.kind] = found.get(step.kind, 0) + 1
    return found


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_steps_and_cells_are_as_validation_would_make_them(folder: Path, engine: str) -> None:
    methods = {
        "urial": {"method": "icl", "num_fewshot": 1, "demonstrations": {"from": "rows"}},
        "sft": {"method": "sft", "train": "rows", "train_languages": "all", "validation": {"rows": 0.5}},
        "full": {"method": "sft", "train": "rows", "adapter": "none", "rows": 1},
        **{
            name: {"method": name, "policy": "sft", "pairs": "rows"}
            for name in ("dpo", "kto", "orpo", "simpo")
        },
    }
    models = {"m": {"base": {"engine": engine, "hub": "a/base", "revision": "1"}}}
    plan = planned(folder, methods=methods, models=models)
    assert kinds(plan).keys() >= {
        "sft",
        "dpo",
        "kto",
        "orpo",
        "simpo",
        "reference_logps",
        "generate",
        "judge",
    }
    for made in (*plan.steps.values(), *plan.study.cells):
        validated = type(made).model_validate(made.model_dump())
        assert made == validated
        assert made.model_dump_json() == validated.model_dump_json()


def test_a_seed_makes_cells_only_where_chance_enters(folder: Path) -> None:
    cells = planned(folder).study.cells
    assert [(c.method, c.language, c.seed) for c in cells] == [
        ("urial", "en", None),
        ("urial", "fr", None),
        ("sft", "en", 0),
        ("sft", "en", 1),
        ("sft", "fr", 0),
        ("sft", "fr", 1),
    ]
    sampled = planned(folder, decoding={"temperature": 0.7}).study.cells
    assert [c.seed for c in sampled if c.method == "urial"] == [0, 1, 0, 1]


def test_more_seeds_change_no_step_of_a_method_without_chance(folder: Path) -> None:
    def urial(plan: Plan) -> list[str]:
        return [c.generate for c in plan.study.cells if c.method == "urial"]

    assert urial(planned(folder)) == urial(planned(folder, seeds=[5, 6, 7]))


def test_equal_steps_of_two_methods_are_one(folder: Path) -> None:
    methods = {"a": {"method": "icl"}, "b": {"method": "icl", "num_fewshot": 3, "preamble": True}}
    plan = planned(folder, methods=methods)
    assert len(plan.study.cells) == 4
    assert kinds(plan) == {"data": 2, "generate": 2, "judge": 2}


def test_what_a_model_is_tuned_on_is_a_factor_apart_from_what_it_is_asked_in(folder: Path) -> None:
    methods = {
        name: {"method": "sft", "train": "rows", "train_languages": on}
        for name, on in (("each", "each"), ("all", "all"), ("en", ["en"]))
    }
    plan = planned(folder, methods=methods, seeds=[0])
    assert {(c.method, c.language): c.train_languages for c in plan.study.cells} == {
        ("each", "en"): ("en",),
        ("each", "fr"): ("fr",),
        ("all", "en"): ("en", "fr"),
        ("all", "fr"): ("en", "fr"),
        ("en", "en"): ("en",),
        ("en", "fr"): ("en",),
    }
    assert kinds(plan)["sft"] == 3, "en, fr and both: the model tuned on English is shared"


def test_dpo_over_sft_starts_from_that_sft_step_and_its_weights(folder: Path) -> None:
    methods = {
        "sft": {"method": "sft", "train": "rows", "weights": "instruct"},
        "dpo": {"method": "dpo", "policy": "sft", "pairs": "rows"},
    }
    plan = planned(folder, methods=methods, seeds=[0])
    (cell,) = [c for c in plan.study.cells if c.method == "dpo" and c.language == "fr"]
    (sft,) = [c.train[0] for c in plan.study.cells if c.method == "sft" and c.language == "fr"]
    dpo = plan.steps[cell.train[-1]]
    assert isinstance(dpo, DpoStep)
    assert cell.train == (sft, dpo.ref_logps, cell.train[-1])
    assert (dpo.policy, dpo.weights.hub) == (sft, "a/instruct")


def test_changing_beta_reruns_dpo_and_what_follows_but_not_sft(folder: Path) -> None:
    def with_beta(beta: float) -> Plan:
        methods = {
            "sft": {"method": "sft", "train": "rows"},
            "dpo": {"method": "dpo", "policy": "sft", "pairs": "rows", "beta": beta},
        }
        return planned(folder, methods=methods, seeds=[0])

    before, after = with_beta(0.1), with_beta(0.2)
    new = set(after.steps) - set(before.steps)
    assert {after.steps[s].kind for s in new} == {"dpo", "generate", "judge"}
    assert len(new) == 6


def test_what_differs_in_training_alone_shares_one_reference(folder: Path) -> None:
    """Untrained weights and all pairs decide it; beta, loss, learning rate, adapter and seed do not."""
    shared: dict[str, Any] = {"method": "dpo", "pairs": "rows", "train_languages": "all"}
    methods = {
        "a": {**shared, "beta": 0.05, "training": {"learning_rate": 1e-6, "max_steps": 5}},
        "b": {**shared, "beta": 0.5, "loss_type": ["ipo"], "adapter": {"r": 4}},
        "c": {**shared, "adapter": "none", "training": {"train_sampling_strategy": "group_by_length"}},
    }
    plan = planned(folder, methods=methods, seeds=[0, 1])
    assert kinds(plan)["dpo"] == 6
    assert kinds(plan)["reference_logps"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "urial"},
        {"training": {"max_length": 512}},
        {"training": {"bf16": True}},
        {"train_languages": ["en"]},
        {"rows": 2},
        {"policy": "sft"},
        {"policy": "instruct"},
    ],
)
def test_what_the_reference_reads_or_is_makes_another(folder: Path, change: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"method": "dpo", "pairs": "rows", "train_languages": "all"}
    sft = {"method": "sft", "train": "rows", "train_languages": "all"}
    plan = planned(folder, methods={"sft": sft, "a": plain, "b": plain | change}, seeds=[0])
    assert kinds(plan)["reference_logps"] == 2


def test_rows_that_a_seed_draws_are_a_reference_of_their_own(folder: Path) -> None:
    methods = {"dpo": {"method": "dpo", "pairs": "rows", "train_languages": "all", "rows": 2}}
    assert kinds(planned(folder, methods=methods, seeds=[0, 1]))["reference_logps"] == 2


def test_an_sft_policy_can_be_held_to_a_reference_that_others_share(folder: Path) -> None:
    """The untrained weights below it are those that training from the weights themselves begins at."""
    dpo: dict[str, Any] = {"method": "dpo", "pairs": "rows", "train_languages": "all"}
    sft = {"method": "sft", "train": "rows", "train_languages": "all"}
    plan = planned(
        folder, methods={"sft": sft, "a": dpo, "b": {**dpo, "policy": "sft", "reference": "base"}}, seeds=[0]
    )
    assert kinds(plan)["reference_logps"] == 1


def test_the_reference_of_all_weights_is_computed_in_the_precision_they_are_trained_in(folder: Path) -> None:
    models = {"m": {"base": {"hub": "a/base", "revision": "1", "dtype": "bfloat16"}}}

    def dtypes(**changes: Any) -> list[str]:
        methods = {"a": {"method": "dpo", "pairs": "rows", **changes}}
        plan = planned(folder, methods=methods, models=models, seeds=[0], languages=["en"])
        return [
            step.weights.dtype
            for step in plan.steps.values()
            if isinstance(step, ReferenceLogpsStep | DpoStep)
        ]

    assert dtypes() == ["bfloat16", "bfloat16"]
    assert dtypes(adapter="none") == ["float32", "bfloat16"]
    assert dtypes(adapter="none", training={"pure_bf16": True}) == ["bfloat16", "bfloat16"]
    with pytest.raises(SpecError, match="`pure_bf16` is for `adapter: none`"):
        dtypes(training={"pure_bf16": True})


def test_a_reference_that_is_not_computed_beforehand_is_no_step(folder: Path) -> None:
    dpo = {"method": "dpo", "pairs": "rows", "precompute_ref_log_probs": False}
    plan = planned(folder, methods={"dpo": dpo}, seeds=[0])
    assert "reference_logps" not in kinds(plan)
    assert all(step.ref_logps is None for step in plan.steps.values() if isinstance(step, DpoStep))


def test_dpo_without_padding_is_refused_with_a_way_out(folder: Path) -> None:
    with pytest.raises(SpecError, match="`padding_free` is for sft"):
        planned(
            folder,
            methods={"dpo": {"method": "dpo", "pairs": "rows", "training": {"padding_free": True}}},
            seeds=[0],
        )


def test_the_prompt_that_is_trained_on_is_the_prompt_that_is_asked_with(folder: Path) -> None:
    methods = {
        "sft": {
            "method": "sft",
            "train": "rows",
            "prompt": "urial",
            "num_fewshot": 2,
            "train_languages": "all",
        }
    }
    plan = planned(folder, methods=methods, seeds=[0])
    (sft,) = [s for s in plan.steps.values() if isinstance(s, SftStep)]
    asked = {
        s.prompt.text.language: s.prompt
        for s in plan.steps.values()
        if isinstance(s, GenerateStep) and isinstance(s.prompt, TextPrompt)
    }
    assert sft.prompts == (asked["en"], asked["fr"])


def test_a_changed_data_file_makes_new_steps_only_for_its_language(folder: Path) -> None:
    before = planned(folder)
    (folder / "rows_fr.jsonl").write_text(
        (folder / "rows_fr.jsonl").read_text("utf-8").replace("response fr", "réponse"), "utf-8"
    )
    after = planned(folder)
    changed = {c.language for c in after.study.cells if c.generate not in before.steps}
    assert changed == {"fr"}


def test_a_cosmetic_edit_changes_no_id(folder: Path) -> None:
    before = planned(folder)
    path = folder / "study.yaml"
    path.write_text(
        "# a comment\n" + yaml.safe_dump(study(), sort_keys=True).replace("seeds:", "\nseeds:"), "utf-8"
    )
    (folder / "sub").mkdir()
    loaded = load(path)
    assert set(compile(loaded.experiment, Fingerprints(), loaded.origin).steps) == set(before.steps)


def test_moving_the_study_to_another_folder_changes_no_id(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = planned(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "study"
    folder.rename(elsewhere)
    assert set(planned(elsewhere).steps) == set(before.steps)
    elsewhere.rename(folder)


def test_a_model_without_instruct_weights_is_left_out_of_instruct_and_the_plan_says_so(folder: Path) -> None:
    models = {"m": {"base": {"hub": "a/base", "revision": "1"}}}
    plan = planned(
        folder, models=models, methods={"urial": {"method": "icl"}, "instruct": {"method": "instruct"}}
    )
    assert {c.method for c in plan.study.cells} == {"urial"}
    assert plan.study.notes == ("instruct is not tried on m: it has no `instruct`.",)


def test_only_and_exclude_thin_the_matrix(folder: Path) -> None:
    assert {c.method for c in planned(folder, only=[{"method": "urial"}]).study.cells} == {"urial"}
    left = planned(folder, exclude=[{"method": ["sft"], "language": "fr"}], seeds=[0]).study.cells
    assert [(c.method, c.language) for c in left] == [("urial", "en"), ("urial", "fr"), ("sft", "en")]


def test_every_step_comes_after_its_inputs(folder: Path) -> None:
    methods = {
        "dpo": {"method": "dpo", "policy": "sft", "pairs": "rows", "train_languages": "all"},
        "sft": {"method": "sft", "train": "rows", "train_languages": "all"},
        "retrieved": {
            "method": "icl",
            "demonstrations": {"from": "rows", "select": "bm25"},
            "num_fewshot": 1,
        },
    }
    plan = planned(folder, methods=methods)
    seen: set[str] = set()
    for step_id, step in plan.steps.items():
        assert set(step.inputs) <= seen
        seen.add(step_id)


def test_a_missing_result_is_named_with_exactly_what_hangs_on_it(folder: Path) -> None:
    plan = planned(folder, seeds=[0])
    everything = set(plan.steps)
    assert diff(plan, everything).todo == ()
    (sft,) = [c.train[0] for c in plan.study.cells if c.method == "sft" and c.language == "fr"]
    found = diff(plan, everything - {sft})
    cell = next(c for c in plan.study.cells if sft in c.train)
    assert set(found.todo) == {sft, cell.generate, *(judged.step for judged in cell.judges.values())}
    assert found.why(sft) == "no result"
    assert found.why(cell.generate) == f"its input {sft} is made again"


def test_a_target_brings_what_it_needs_and_nothing_else(folder: Path) -> None:
    plan = planned(folder, seeds=[0])
    found = diff(plan, (), targets=("sft",))
    assert {plan.steps[s].kind for s in found.todo} == {"data", "sft"}


def test_dpo_over_an_sft_method_of_instruct_weights_is_left_out_where_there_are_none(folder: Path) -> None:
    methods = {
        "sft": {"method": "sft", "train": "rows", "weights": "instruct"},
        "dpo": {"method": "dpo", "policy": "sft", "pairs": "rows"},
        "urial": {"method": "icl"},
    }
    plan = planned(folder, models={"m": {"base": {"hub": "a/base", "revision": "1"}}}, methods=methods)
    assert {c.method for c in plan.study.cells} == {"urial"}


def test_recorded_answers_are_not_made_again_by_another_decoding(folder: Path) -> None:
    def with_temperature(temperature: float) -> Plan:
        recorded = {
            "method": "recorded",
            "answers": {"path": "rows_{language}.jsonl"},
            "columns": {"item": "item", "response": "response"},
        }
        models = {"m": {"parameters": 1}}
        return planned(
            folder, models=models, methods={"theirs": recorded}, decoding={"temperature": temperature}
        )

    assert set(with_temperature(0.0).steps) == set(with_temperature(0.7).steps)


def test_a_probe_judges_the_same_answers_with_text_planted_in_the_asked_language(folder: Path) -> None:
    plan = planned(folder, judge_probes={"planted": {"judges": ["empty"], "rows": 5}})
    for cell in plan.study.cells:
        plain, probed = (
            plan.steps[cell.judges["empty"].step],
            plan.steps[cell.probes["planted"]["empty"].step],
        )
        assert isinstance(plain, JudgeStep)
        assert isinstance(probed, JudgeStep)
        assert plain.probe is None
        assert probed.probe is not None
        assert probed == plain.model_copy(update={"probe": probed.probe})
        assert ("juge" if cell.language == "fr" else "judge") in probed.probe.text


def test_a_probe_of_an_unknown_judge_or_text_is_reported(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        planned(folder, judge_probes={"planted": {"judges": ["emtpy"], "plant": "poem"}})
    messages = [problem.message for problem in caught.value.problems]
    assert [m for m in messages if "no judge `emtpy`" in m and "empty" in m]
    assert [m for m in messages if "`poem`" in m and "injection" in m]


def test_answers_end_at_their_fence_unless_the_prompt_is_upstreams(folder: Path) -> None:
    methods = {"own": {"method": "icl"}, "upstream": {"method": "icl", "prompt": "urial"}}
    plan = planned(folder, methods=methods)
    forms = {
        cell.method: plan.steps[cell.generate].prompt  # type: ignore[attr-defined]
        for cell in plan.study.cells
    }
    assert [
        isinstance(form, TextPrompt) and form.ends_at_fence for form in (forms["own"], forms["upstream"])
    ] == [True, False]
    assert forms["own"].text == forms["upstream"].text


def test_arguments_of_the_chat_template_are_part_of_training_and_asking(folder: Path) -> None:
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    plan = planned(
        folder,
        methods={"sft": {"method": "sft", "train": "rows", **off}, "instruct": {"method": "instruct", **off}},
    )
    asked = [step.prompt for step in plan.steps.values() if isinstance(step, GenerateStep)]
    trained = [form for step in plan.steps.values() if isinstance(step, SftStep) for form in step.prompts]
    found = {form.chat_template_kwargs for form in (*asked, *trained)}  # type: ignore[union-attr]
    assert found == {(("enable_thinking", False),)}


def test_the_judges_by_rule_of_a_cell_are_one_step_and_a_model_that_judges_is_its_own(folder: Path) -> None:
    judges = {
        "void": {"judge": "empty"},
        "long": {"judge": "length"},
        "mark": {"judge": "rubric", "model": {"engine": "echo"}},
    }
    cell = planned(folder, judges=judges).study.cells[0]
    assert cell.judges["void"].step == cell.judges["long"].step != cell.judges["mark"].step
    assert cell.judges["void"].judge != cell.judges["long"].judge


def test_names_and_order_of_judges_are_in_no_id(folder: Path) -> None:
    one = {"a": {"judge": "length"}, "b": {"judge": "empty"}}
    other = {"x": {"judge": "empty"}, "y": {"judge": "length"}}
    assert set(planned(folder, judges=one).steps) == set(planned(folder, judges=other).steps)


def test_what_may_be_run_again_hangs_on_what_is_run_and_is_wanted(folder: Path) -> None:
    plan = planned(folder, seeds=[0])
    everything = set(plan.steps)
    (data,) = {
        plan.steps[c.generate].examples  # type: ignore[attr-defined]
        for c in plan.study.cells
        if c.language == "fr"
    }
    hanging = {c.generate for c in plan.study.cells if c.language == "fr"}
    found = diff(plan, everything - {data}, faults={data: "examples.jsonl holds other bytes"})
    assert found.todo == (data,)
    assert hanging <= set(found.reachable)
    assert set(diff(plan, everything - {data}, targets=(data,), faults={data: "damaged"}).reachable) == {data}
    assert diff(plan, everything).reachable == ()


HELD_OUT: dict[str, Any] = {"method": "sft", "train": "rows", "validation": {"rows": 0.5}}


def test_each_tried_value_is_a_training_and_the_best_of_them_alone_is_asked(folder: Path) -> None:
    rates = {"training.learning_rate": [1e-4, 5e-4], "adapter.r": [4, 8]}
    plan = planned(folder, methods={"sft": {**HELD_OUT, "vary": rates}}, seeds=[0], languages=["en"])
    assert kinds(plan) == {"data": 1, "sft": 4, "select": 1, "generate": 1, "judge": 1}
    (select,) = [step for step in plan.steps.values() if isinstance(step, SelectStep)]
    trials = {values: plan.steps[trial] for values, trial in select.trials.items()}
    assert {
        values: (step.training.learning_rate, step.adapter and step.adapter.r)
        for values, step in trials.items()
        if isinstance(step, SftStep)
    } == {
        f"adapter.r: {r}, training.learning_rate: {rate}": (rate, r) for rate in (1e-4, 5e-4) for r in (4, 8)
    }
    (cell,) = plan.study.cells
    answers = plan.steps[cell.generate]
    assert isinstance(answers, GenerateStep)
    assert cell.train == (*select.inputs, answers.tuned)
    assert answers.tuned is not None
    assert plan.steps[answers.tuned] == select


def test_the_order_and_spelling_of_what_is_varied_change_no_step(folder: Path) -> None:
    one = {"training.weight_decay": [0.5, 1], "adapter.r": [4, 8]}
    other = {"adapter.r": [8, 4], "training.weight_decay": [1.0, 5e-1]}
    plans = [
        planned(folder, methods={"sft": {**HELD_OUT, "vary": vary}}, seeds=[0], languages=["en"])
        for vary in (one, other)
    ]
    assert plans[0].steps.keys() == plans[1].steps.keys()


@pytest.mark.parametrize(
    "changes", [{"training": {"max_steps": 5}}, {"vary": {"training.max_steps": [5, 6]}}, {}]
)
def test_dpo_keeps_its_own_learning_rate_whatever_else_of_its_training_is_named(
    folder: Path, changes: dict[str, Any]
) -> None:
    dpo: dict[str, Any] = {"method": "dpo", "pairs": "rows", "validation": {"rows": 0.5}, **changes}
    plan = planned(folder, methods={"dpo": dpo}, seeds=[0], languages=["en"])
    trained = [step.training for step in plan.steps.values() if isinstance(step, DpoStep)]
    assert {training.learning_rate for training in trained} == {5e-6}
    assert len(trained) == 1 + ("vary" in changes)


def test_dpo_starts_from_the_best_trial_of_its_policy_and_its_trials_share_one_reference(
    folder: Path,
) -> None:
    dpo: dict[str, Any] = {
        "method": "dpo",
        "policy": "sft",
        "pairs": "rows",
        "validation": {"rows": 0.5},
        "training": {"metric_for_best_model": "eval_rewards/accuracies"},
        "vary": {"beta": [0.1, 0.3]},
    }
    sft = {**HELD_OUT, "vary": {"training.learning_rate": [1e-4, 5e-4]}}
    plan = planned(folder, methods={"sft": sft, "dpo": dpo}, seeds=[0], languages=["en"])
    assert kinds(plan) == {
        "data": 1, "sft": 2, "reference_logps": 1, "dpo": 2, "select": 2, "generate": 2, "judge": 2
    }  # fmt: skip
    trained = [step for step in plan.steps.values() if isinstance(step, DpoStep)]
    assert {step.beta for step in trained} == {0.1, 0.3}
    assert {step.policy and plan.steps[step.policy].kind for step in trained} == {"select"}


def test_the_reference_reads_the_pairs_that_a_drawn_dpo_is_evaluated_on(folder: Path) -> None:
    dpo: dict[str, Any] = {"method": "dpo", "pairs": "rows", "train_languages": "all", "rows": 2}
    for settings, expected in (({}, [None, "held out"]), ({"rows": None}, [None, None])):
        methods = {"a": {**dpo, **settings}, "b": {**dpo, **settings, "validation": {"rows": 0.5}}}
        plan = planned(folder, methods=methods, seeds=[0])
        references = [step for step in plan.steps.values() if isinstance(step, ReferenceLogpsStep)]
        assert [step.validation and "held out" for step in references] == expected[: len(references)]
        assert len(references) == len(set(expected))


def test_a_method_is_evaluated_on_a_data_set_in_the_languages_it_is_trained_in(folder: Path) -> None:
    others = {
        language: [{"item": "v", "instruction": f"new {language}", "response": "yes"}]
        for language in ("en", "fr")
    }
    for language, found in others.items():
        lines = "".join(json.dumps(row) + "\n" for row in found)
        (folder / f"others_{language}.jsonl").write_text(lines, "utf-8")
    data = study()["data"] | {
        "others": {
            "rows": {"path": "others_{language}.jsonl"},
            "columns": {name: name for name in ("item", "instruction", "response")},
        }
    }
    methods = {"sft": {"method": "sft", "train": "rows", "validation": "others"}}
    plan = planned(folder, data=data, methods=methods, seeds=[0])
    for step in plan.steps.values():
        if isinstance(step, SftStep):
            assert isinstance(step.validation, tuple)
            (evaluated,), (trained,) = step.validation, step.train
            assert step.inputs == (trained, evaluated)
            languages = [getattr(plan.steps[one], "language", None) for one in (evaluated, trained)]
            assert languages[0] == languages[1] is not None
    with pytest.raises(SpecError, match="`rows` is what it is trained on"):
        planned(folder, methods={"sft": {"method": "sft", "train": "rows", "validation": "rows"}})
    rows = (folder / "rows_fr.jsonl").read_text("utf-8")
    (folder / "others_fr.jsonl").write_text(rows.replace('"1"', '"v"'), "utf-8")
    with pytest.raises(SpecError, match="1 of 1 items of `others` in `fr` are among the rows that `sft`"):
        planned(folder, data=data, methods=methods)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": None}, "`vary` chooses on validation rows, and never on the questions"),
        ({"validation": None, "vary": {}, "training": {"eval_steps": 3}}, "`eval_steps` is of the"),
        ({"training": {"load_best_model_at_end": False}}, "`load_best_model_at_end: true`"),
        ({"vary": {"beta": [0.1, 0.2]}}, "tries beta: 0.1, which this method cannot have"),
        ({"vary": {"training.learning_rate": [1.0, -1.0]}}, "greater than 0"),
        ({"vary": {"training.learning_rate": [0.1, 0.1]}}, "has a value of `training.learning_rate` twice"),
        ({"vary": {"training.max_length": [8, 9]}}, "training.max_steps"),
        ({"adapter": "none", "vary": {"adapter.r": [4, 8]}}, "this method has `adapter: none`"),
        ({"validation": {"rows": 1}}, "less than 1"),
        ({"training": {"metric_for_best_model": "eval_rewards/accuracies"}}, "sft has no rewards"),
        ({"training": {"eval_strategy": "epoch"}}, "`eval_steps` says how often"),
        (
            {"method": "dpo", "pairs": "rows", "train": None, "vary": {"beta": [0.1, 0.3]}},
            "the loss of dpo is of another scale with each `beta`",
        ),
    ],
)
def test_a_choice_that_could_not_be_made_on_validation_rows_is_refused(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    method = {**HELD_OUT, "vary": {"training.learning_rate": [1e-4, 5e-4]}, **changes}
    with pytest.raises(SpecError) as refused:
        planned(folder, methods={"m": {name: value for name, value in method.items() if value is not None}})
    assert message in str(refused.value)

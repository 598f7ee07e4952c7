"""Each chart by itself: rows in, Vega-Lite out that is valid, starts bars at zero and shows every row."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import altair as alt
import pytest

from warehouse import charts
from warehouse.charts._intervals import NOT_SIGNIFICANT, SIGNIFICANT, Line, bars, dots
from warehouse.charts.theme import (
    COLOURS,
    SHAPES,
    Order,
    Panel,
    decimals_for,
    label,
    number,
    reach,
    scale_of,
    score_axis,
)
from warehouse.relations import view_files
from warehouse.report.svg import SVG, picture

ORDER = Order(
    methods=("urial", "sft", "never_run"),
    models=("tiny", "small"),
    languages=("fr", "en"),
    retuned=frozenset({"sft"}),
)
NAMES = [
    module.name
    for module in pkgutil.iter_modules(charts.__path__)
    if not module.name.startswith("_") and module.name != "theme"
]
KEYS = [
    {
        "dataset": "facts",
        "language": language,
        "model": model,
        "method": method,
        "train_languages": "en" if method == "sft" else "",
    }
    for language in ("en", "fr")
    for model in ORDER.models
    for method in ("sft", "urial")
]
MEANS = {
    "measure": "contains",
    "judge": "contains",
    "mean_score": 0.4,
    "ci_low": 0.1,
    "ci_high": 0.7,
    "n": 6,
    "n_unscored": 0,
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "score_by_method_language": [{**key, **MEANS} for key in KEYS]
    + [{**KEYS[0], **MEANS, "mean_score": None, "ci_low": None, "n": 0}],
    "score_by_turn": [{**key, **MEANS, "turn": turn} for key in KEYS[:3] for turn in (1, 2)],
    "score_by_model_size": [
        {**key, **MEANS, "num_parameters": 135_000_000 if key["model"] == "tiny" else 1_700_000_000}
        for key in KEYS[:4]
    ],
    "contrast_by_language_and_size": [
        {
            "contrast": "gain",
            "of": "sft",
            "against": "urial",
            "language": language,
            "model": "tiny",
            "of_train_languages": "en",
            "against_train_languages": "",
            "estimate": estimate,
            "ci_low": low,
            "ci_high": high,
            "is_significant_uncorrected": told,
            "is_significant": told and p < 0.05,
            "n": 6,
        }
        for language, estimate, low, high, told, p in (
            ("en", 0.3, 0.1, 0.5, True, 0.01),
            ("fr", 0.0, -0.2, 0.2, False, 1.0),
            ("en", 0.2, 0.1, 0.3, True, 0.06),
            ("en", None, None, None, None, None),
        )
    ],
    "language_gap": [
        {
            "contrast": "gain",
            "of": "sft",
            "against": "urial",
            "language": language,
            "other_language": other,
            "model": "tiny",
            "estimate": 0.3,
            "ci_low": low,
            "ci_high": 0.5,
            "is_significant_uncorrected": low > 0,
            "is_significant": low > 0,
            "n": 6,
        }
        for language, other, low in (("es", "en", 0.1), ("en", "fr", -0.1))
    ],
    "size_trend": [
        {
            "contrast": "gain",
            "of": "sft",
            "against": "urial",
            "language": language,
            "of_train_languages": "en",
            "against_train_languages": "",
            "smallest": 10**8,
            "largest": 10**9,
            "at_smallest": start,
            "at_largest": end,
            "crossing": size,
            "points": [
                {"num_parameters": 10**8, "estimate": -0.1, "ci_low": -0.3, "ci_high": 0.1},
                {"num_parameters": 10**9, "estimate": 0.2, "ci_low": None, "ci_high": None},
            ],
        }
        for language, start, end, size in (("en", -0.1, 0.2, 2.2e8), ("fr", None, None, None))
    ],
    "win_rate_by_method": [
        {**key, "against": against, "win_rate": 62.5, "ci_low": 40.0, "ci_high": 85.0, "n": 6}
        for key in KEYS
        for against in ("b", "a")
    ]
    + [{**KEYS[0], "against": "a", "win_rate": None, "ci_low": None, "ci_high": None, "n": 0}],
    "method_strength": [
        {**key, "strength": 0.4, "ci_low": 0.1, "ci_high": 0.7, "n": 6, "is_regularised": False}
        for key in KEYS
    ]
    + [{**KEYS[0], "strength": None, "ci_low": None, "ci_high": None, "n": 6, "is_regularised": False}],
    "ifeval_accuracy": [
        {
            **key,
            "judge": "follows",
            "strictness": strictness,
            "unit": unit,
            "accuracy": 0.5,
            "ci_low": 0.2,
            "ci_high": 0.8,
            "n": 6,
        }
        for key in KEYS
        for strictness in ("loose", "strict")
        for unit in ("instruction", "prompt")
    ]
    + [
        {
            **KEYS[0],
            "judge": "follows",
            "strictness": "strict",
            "unit": "prompt",
            "accuracy": None,
            "ci_low": None,
            "ci_high": None,
            "n": 0,
        }
    ],
    "judge_agreement": [
        {
            "measure_a": "a",
            "measure_b": b,
            "language": language,
            "krippendorff_alpha": alpha,
            "krippendorff_alpha_standard_error": error,
            "n": 9,
        }
        for b, language, alpha, error in (
            ("b", "all", 0.9, 0.2),
            ("b", "en", None, None),
            ("b", "fr", 0.1, None),
            ("c", "fr", -0.9, 0.2),
        )
    ],
    "judge_probes": [
        {
            "probe": probe,
            "measure": "quality",
            "language": language,
            "share_moved": share,
            "ci_low": 0.0,
            "ci_high": 0.4,
            "n": n,
        }
        for probe in ("praise", "orders")
        for language, share, n in (("en", 0.25, 8), ("fr", 0.0, 8), ("es", None, 0))
    ],
    "critical_errors_by_cell": [
        {
            **key,
            "error": error,
            "role": "detector",
            "label": error,
            "share": share,
            "ci_low": 0.0,
            "ci_high": 0.4,
            "n": 6,
            "n_unscored": 0,
        }
        for key in KEYS
        for error, share in (("loop", 0.0), ("cut", 0.2), ("a new one", 0.1))
    ]
    + [
        {
            **KEYS[0],
            "error": "code",
            "role": "critical_error",
            "label": "code where none was asked",
            "share": None,
            "ci_low": None,
            "ci_high": None,
            "n": 0,
            "n_unscored": 6,
        }
    ],
    "length_by_method_language": [{**key, "mean_characters": 120.0, "n": 6} for key in KEYS]
    + [{**KEYS[0], "mean_characters": None, "n": 0}],
    "unscored_by_judge": [
        {
            "measure": "quality.depth",
            "language": "en",
            "method": "sft",
            "n": 4,
            "n_unscored": 2,
            "share_unscored": 1 / 3,
        },
        {
            "measure": "loop",
            "language": "en",
            "method": "sft",
            "n": 6,
            "n_unscored": 0,
            "share_unscored": 0.0,
        },
    ],
    "judge_against_checks": [
        {
            "measure": "quality.depth",
            "checked_measure": "correct",
            "language": language,
            "auc": auc,
            "ci_low": low,
            "ci_high": high,
            "n": 9,
            "n_right": 9 if language == "es" else 3,
            "n_wrong": 0 if language == "es" else 6,
        }
        for language, auc, low, high in (
            ("en", 0.8, 0.6, 0.9),
            ("es", None, None, None),
            ("fr", 0.5, None, None),
        )
    ]
    + [
        {
            "measure": "quality.depth",
            "checked_measure": "exact",
            "language": language,
            "auc": 0.3,
            "ci_low": 0.1,
            "ci_high": high,
            "n": 9,
        }
        for language, high in (("en", 0.6), ("fr", 0.4))
    ],
    "cost_by_step": [
        {"kind": "sft", "methods": ["sft"], "seconds": 60.0},
        {"kind": "generate", "methods": ["sft", "urial"], "seconds": 20.0},
        {"kind": "data", "methods": None, "seconds": 0.1},
    ],
    "cost_by_model": [
        {"model": "tiny", "kind": "sft", "start_seconds": 5.0, "load_seconds": 1.0, "work_seconds": 54.0},
        {
            "model": "tiny",
            "kind": "generate",
            "start_seconds": 0.0,
            "load_seconds": 0.5,
            "work_seconds": 20.0,
        },
    ],
    "training_curve": [
        {
            "method": "sft",
            "model": "tiny",
            "train_languages": "en",
            "step_id": "sft-1",
            "global_step": step,
            "name": name,
            "value": value,
        }
        for step in range(1, 1001)
        for name, value in (("loss", 1 / step), ("learning_rate", 0.1))
    ],
}


def chart_of(name: str) -> Callable[..., list[Panel]]:
    return importlib.import_module(f"warehouse.charts.{name}").chart


def test_every_chart_reads_a_view_of_its_name_and_has_a_caption() -> None:
    assert set(NAMES) <= {file.stem for file in view_files() if file.parent.name == "marts"}
    assert set(NAMES) == set(ROWS)
    for name in NAMES:
        assert (chart_of(name).__doc__ or "").partition("\n")[0].endswith("."), name


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_is_valid_vega_lite(name: str) -> None:
    panels = chart_of(name)(ROWS[name], ORDER)
    assert panels
    for panel in panels:
        alt.Chart.from_dict(
            {key: value for key, value in panel.spec.items() if key != "config"}, validate=True
        )
        alt.Config.from_dict(panel.spec["config"], validate=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_chart_of_nothing_is_no_panel(name: str) -> None:
    assert chart_of(name)([], ORDER) == []


def test_panels_and_rows_follow_the_study_and_name_what_they_differ_in() -> None:
    panels = chart_of("score_by_method_language")(ROWS["score_by_method_language"], ORDER)
    assert [panel.title for panel in panels] == ["fr", "en"]
    assert [value["label"] for value in values(panels[0])] == [
        "urial · tiny",
        "urial · small",
        "sft ← en · tiny",
        "sft ← en · small",
    ]
    assert [value["text"] for value in values(panels[1])][-1] == "0.40 · n 6"
    assert "unscored" in [value["text"] for value in values(panels[1])]


def test_bars_start_at_zero_whatever_the_smallest_value() -> None:
    spec = bars(
        [Line("a", 5.0, None, None, "5", COLOURS[0]), Line("b", 6.0, None, None, "6", COLOURS[1])],
        "seconds",
        (0.0, 6.0),
    )
    [bar] = [layer for layer in spec["layer"] if layer["mark"]["type"] == "bar"]
    assert bar["encoding"]["x2"] == {"datum": 0}
    assert bar["encoding"]["x"]["scale"]["domain"] == [0.0, 6.0]
    for name in (
        *(
            "length_by_method_language",
            "critical_errors_by_cell",
            "unscored_by_judge",
            "cost_by_step",
            "cost_by_model",
        ),
        "judge_probes",
    ):
        for panel in chart_of(name)(ROWS[name], ORDER):
            assert all(domain[0] == 0 for domain in domains(panel.spec)), name


def test_an_axis_ends_at_its_scale_and_an_interval_that_goes_on_ends_in_an_arrow() -> None:
    lines = [Line("a", 0.9, 0.7, 1.1, "", "#000000"), Line("b", 0.5, 0.4, 0.6, "", "#000000")]
    spec = dots(lines, "score", (0.0, 1.0))
    beyond, within = values(Panel("", spec))
    assert (beyond["high"], beyond["beyond_high"], beyond["beyond_low"]) == (1.0, 1.0, None)
    assert (within["high"], within["beyond_high"]) == (0.6, None)
    arrows = [layer["mark"].get("shape") for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert arrows == ["triangle-right", None], "and the points, whose shapes are their methods'"


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_a_chart_is_smaller_than_twelve_pixels(name: str) -> None:
    for panel in chart_of(name)(ROWS[name], ORDER):
        for size in ("fontSize", "labelFontSize", "titleFontSize"):
            assert min(found_under(panel.spec, size)) >= 12, size


def test_a_name_cannot_end_the_expression_it_stands_in() -> None:
    spec = dots([Line('"] + (window.hacked = 1) + ["', 0.5, None, None, "", COLOURS[0])], "score", (0.0, 1.0))
    [expression] = set(found_under(spec, "labelExpr"))
    assert expression == r'["\"] + (window.hacked = 1) + [\""][datum.value]'


def test_only_what_is_significant_after_the_correction_is_filled_and_what_is_so_uncorrected_is_dark() -> None:
    [panel] = chart_of("contrast_by_language_and_size")(ROWS["contrast_by_language_and_size"], ORDER)
    assert panel.title == "sft − urial"
    assert [
        (value["label"], value["fill"] != "transparent", value["colour"], value["text"])
        for value in values(panel)
    ] == [
        ("fr ← en", False, NOT_SIGNIFICANT, "0.00 [−0.20, 0.20]"),
        ("en", True, SIGNIFICANT, "0.30 [0.10, 0.50]"),
        ("en", False, SIGNIFICANT, "0.20 [0.10, 0.30]"),
        ("en", False, NOT_SIGNIFICANT, "no pairs"),
    ]


def test_a_gap_is_named_by_its_two_languages_in_the_studys_order() -> None:
    [panel] = chart_of("language_gap")(ROWS["language_gap"], ORDER)
    assert [(value["label"], value["fill"] != "transparent") for value in values(panel)] == [
        ("en − fr", False),
        ("es − en", True),
    ]


def test_a_trend_is_a_line_through_its_points_and_marks_where_methods_are_equal_only_if_the_data_say_it() -> (
    None
):
    other, known = (
        {**row, "language": language}
        for row, language in zip(ROWS["size_trend"][:1] * 2, ("fr", "en"), strict=True)
    )
    uncrossed, crossed = chart_of("size_trend")([known, {**other, "crossing": None}], ORDER)
    assert [panel.title for panel in (uncrossed, crossed)] == ["fr ← en", "en"]
    drawn, _ = (
        [found["values"] for found in found_under(panel.spec, "data")] for panel in (crossed, uncrossed)
    )
    assert [{"parameters": 2.2e8}] in drawn
    assert [{"parameters": 10**8, "value": -0.1}, {"parameters": 10**9, "value": 0.2}] in drawn
    assert chart_of("size_trend")(ROWS["size_trend"][1:], ORDER) == [], "without a line there is no picture"


def test_trends_of_one_measure_are_drawn_on_one_scale() -> None:
    (steep,) = ROWS["size_trend"][:1]
    flat = {**steep, "language": "fr", "at_smallest": 0.01, "at_largest": 0.02, "points": steep["points"][1:]}
    panels = chart_of("size_trend")([steep, flat], ORDER)
    scales = [
        {tuple(y["scale"]["domain"]) for y in found_under(panel.spec, "y") if "scale" in y}
        for panel in panels
    ]
    assert scales[0] == scales[1]
    assert len(scales[0]) == 1


def test_an_interval_of_a_strength_that_has_no_end_reaches_the_edge_of_the_picture() -> None:
    won = {**KEYS[0], "strength": 1.4, "ci_low": 0.2, "ci_high": None, "n": 6, "is_regularised": True}
    (panel,) = chart_of("method_strength")([won], ORDER)
    ((row,),) = [found["values"] for found in found_under(panel.spec, "data")][:1]
    assert (row["low"], row["high"]) == (0.2, pytest.approx(1.4))


def test_agreement_ends_with_all_languages_and_its_interval_stays_on_the_scale() -> None:
    first, second = chart_of("judge_agreement")(ROWS["judge_agreement"], ORDER)
    assert (first.title, second.title) == ("a and b", "a and c")
    assert [(v["label"], v["low"], v["high"], v["text"]) for v in values(first)] == [
        ("fr", None, None, "0.10 · n 9"),
        ("en", None, None, "no spread · n 9"),
        ("all together", pytest.approx(0.508), 1.0, "0.90 · n 9"),
    ]
    assert values(second)[0]["low"] == -1.0


def test_readings_of_instructions_and_opponents_stand_in_groups_of_their_own() -> None:
    panels = chart_of("ifeval_accuracy")(ROWS["ifeval_accuracy"], ORDER)
    assert list(dict.fromkeys(v["group"] for v in values(panels[0]))) == [
        "strict, by prompt", "loose, by prompt", "strict, by instruction", "loose, by instruction",
    ]  # fmt: skip
    wins = chart_of("win_rate_by_method")(ROWS["win_rate_by_method"], ORDER)
    assert list(dict.fromkeys(v["group"] for v in values(wins[0]))) == ["against a", "against b"]
    assert {v["at"] for v in values(wins[0])} == {50.0}


def test_every_verdict_that_a_planted_text_moved_is_counted_by_probe() -> None:
    panels = chart_of("judge_probes")(ROWS["judge_probes"], ORDER)
    assert [panel.title for panel in panels] == ["praise", "orders"]
    assert [v["text"] for v in values(panels[0])] == ["0% of 8", "25% of 8", "unscored"]


def test_a_judge_is_drawn_beside_chance_and_filled_where_significantly_different() -> None:
    panels = chart_of("judge_against_checks")(ROWS["judge_against_checks"], ORDER)
    assert [panel.title for panel in panels] == [
        "quality.depth against correct",
        "quality.depth against exact",
    ]
    assert [
        (value["label"], value["fill"] != "transparent", value["text"]) for value in values(panels[0])
    ] == [
        ("fr", False, "0.50 [no interval]"),
        ("en", True, "0.80 [0.60, 0.90]"),
        ("es", False, "all right"),
    ]
    assert [(value["label"], value["fill"] != "transparent") for value in values(panels[1])] == [
        ("fr", True),
        ("en", False),
    ]
    for panel in panels:
        assert {value["at"] for value in values(panel)} == {0.5}


def test_lines_are_drawn_in_their_order_though_some_have_no_interval() -> None:
    lines = [
        Line(name, 0.5, low, low and 0.7, "", COLOURS[0])
        for name, low in (("a", None), ("b", 0.3), ("c", None), ("d", 0.4))
    ]
    svg = picture(Panel("order", dots(lines, "score", (0.0, 1.0))), "p", "order").svg
    written = [element.text for element in ElementTree.fromstring(svg).iter(f"{{{SVG}}}text")]
    assert [text for text in written if text in list("abcd")] == list("abcd")


def test_what_was_not_scored_is_not_drawn_as_zero() -> None:
    panels = chart_of("critical_errors_by_cell")(ROWS["critical_errors_by_cell"], ORDER)
    [unscored] = [value for panel in panels for value in values(panel) if value["group"].startswith("code")]
    assert unscored["value"] is None
    assert unscored["text"] == "unscored"


def test_a_long_curve_is_thinned_but_keeps_its_ends_and_bookkeeping_is_not_drawn() -> None:
    [panel] = chart_of("training_curve")(ROWS["training_curve"], ORDER)
    steps = [value["step"] for value in values(panel)]
    assert panel.title == "sft: loss"
    assert len(steps) <= 201
    assert (steps[0], steps[-1]) == (1, 1000)


def test_a_step_that_two_methods_share_is_counted_once_under_both_names() -> None:
    panels = {panel.title: values(panel) for panel in chart_of("cost_by_step")(ROWS["cost_by_step"], ORDER)}
    assert [(value["label"], value["value"]) for value in panels["answering"]] == [("urial + sft", 20.0)]
    assert list(panels) == ["reading data", "SFT", "answering"]


def test_what_is_paid_once_stands_beside_the_work_of_each_kind() -> None:
    [panel] = chart_of("cost_by_model")(ROWS["cost_by_model"], ORDER)
    assert panel.title == "tiny"
    assert [(value["label"], value["value"]) for value in values(panel)] == [
        ("starting", 5.0),
        ("loading", 1.5),
        ("SFT", 54.0),
        ("answering", 20.0),
    ]


def test_methods_differ_in_colour_or_shape_and_keep_theirs() -> None:
    methods = tuple(f"m{i}" for i in range(len(COLOURS) * len(SHAPES)))
    order = Order(methods, ("tiny",), ("en",))
    looks = [(order.colour(method), order.shape(method)) for method in methods]
    assert len(set(looks)) == len(methods)
    assert len({colour for colour, _ in looks[:7]}) == 7
    assert len({shape for _, shape in looks[:8]}) == 8


@pytest.mark.parametrize(
    ("numbers", "decimals"),
    [
        ([0.5, None], 2),
        ([0.004, 0.5], 3),
        ([0.0], 2),
        ([], 2),
        ([0.006], 2),
        ([0.0000001], 4),
        ([250.0, 0.1], 0),
    ],
)
def test_numbers_have_as_many_digits_as_they_need(numbers: list[float | None], decimals: int) -> None:
    assert decimals_for(numbers) == decimals


def test_a_minus_is_a_minus_and_no_number_is_negative_zero() -> None:
    assert [number(-0.25), number(-0.001), number(0.0), number(None)] == ["−0.25", "0.00", "0.00", "–"]


def test_axes_hold_every_interval_and_the_scale_of_the_judge() -> None:
    assert scale_of([{"mean_score": 0.2}, {"mean_score": None}]) == (0.0, 1.0)
    assert scale_of([{"mean_score": 0.9}, {"mean_score": 3.5}]) == (0.9, 3.5)
    assert scale_of([{"mean_score": 1.5}]) == (1.0, 5.0)
    assert (
        score_axis([{"mean_score": 3.0, "ci_low": 2.9, "ci_high": 3.1}])[1] == "mean score (a part of 1 to 5)"
    )
    assert score_axis([{"mean_score": 0.5, "ci_low": 0.2, "ci_high": 1.1}])[1] == "mean score"
    low, high = reach([{"ci_low": -0.13, "ci_high": 0.4}], ("ci_low", "ci_high"), least=(0.0, 1.0))
    assert low == pytest.approx(-0.2)
    assert high == 1.0


def test_training_languages_are_named_where_rows_differ_in_them_and_never_where_all_share_them() -> None:
    row = {"method": "sft", "language": "fr", "train_languages": "en+es"}
    several = Order(("sft",), ("tiny",), ("en",), retuned=frozenset({"sft"}))
    assert label(row, several) == "sft ← en+es"
    assert label({**row, "language": "en", "train_languages": "en"}, several) == "sft"
    assert label(row, Order(("sft",), ("tiny",), ("en",))) == "sft"


def test_of_one_method_on_several_models_a_row_is_called_by_its_model() -> None:
    several = Order(("instruct",), ("tiny", "small"), ("en",), retuned=frozenset({"instruct"}))
    assert (
        label({"method": "instruct", "language": "en", "train_languages": "", "model": "tiny"}, several)
        == "tiny"
    )
    assert (
        label({"method": "instruct", "language": "fr", "train_languages": "en", "model": "tiny"}, several)
        == "← en · tiny"
    )


def test_no_chart_queries_anything() -> None:
    for file in Path(charts.__path__[0]).glob("*.py"):
        assert "duckdb" not in file.read_text("utf-8"), file


def values(panel: Panel) -> list[dict[str, Any]]:
    """The rows a picture is drawn from."""
    return max((data["values"] for data in found_under(panel.spec, "data")), key=len)


def domains(spec: Any) -> list[list[float]]:
    """Every quantitative axis in a specification."""
    if isinstance(spec, list):
        return [found for part in spec for found in domains(part)]
    if not isinstance(spec, dict):
        return []
    here = [spec["scale"]["domain"]] if spec.get("type") == "quantitative" and "scale" in spec else []
    return here + [found for part in spec.values() for found in domains(part)]


def found_under(spec: Any, key: str) -> list[Any]:
    """Return all values of a key, wherever in a specification."""
    if isinstance(spec, list):
        return [found for part in spec for found in found_under(part, key)]
    if not isinstance(spec, dict):
        return []
    return ([spec[key]] if key in spec else []) + [
        found for part in spec.values() for found in found_under(part, key)
    ]


@pytest.mark.parametrize(
    ("name", "link"),
    [
        (
            "score_by_model_size",
            "#answers?dataset=facts&language=en&model=tiny&method=urial&measure=contains&sort=lowest",
        ),
        (
            "ifeval_accuracy",
            "#answers?dataset=facts&language=fr&model=tiny&method=urial&measure=follows.strict",
        ),
        ("win_rate_by_method", "#answers?dataset=facts&language=fr&model=tiny&method=urial&against=a"),
        ("language_gap", "#answers?model=tiny&method=sft&against=urial&sort=worse"),
        ("size_trend", "#answers?language=en&method=sft&against=urial&sort=worse"),
    ],
)
def test_a_point_leads_to_the_answers_behind_it(name: str, link: str) -> None:
    links = [
        row["link"]
        for panel in chart_of(name)(ROWS[name], ORDER)
        for data in found_under(panel.spec, "data")
        for row in data["values"]
        if row.get("link")
    ]
    assert link in links


@pytest.mark.parametrize("name", ["judge_probes", "cost_by_step", "cost_by_model", "training_curve"])
def test_a_point_that_stands_for_no_answers_of_the_page_leads_nowhere(name: str) -> None:
    assert "#answers?" not in str([panel.spec for panel in chart_of(name)(ROWS[name], ORDER)])

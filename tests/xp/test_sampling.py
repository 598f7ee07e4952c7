"""Annotators' samples: whole items, in an order of their own, and not a word of who gave the answers."""

import csv
import io
import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.data.records import Example
from dsl.errors import ArgumentError
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.load import rebuild
from xp.sampling import Sample, draw, draw_where_judges_disagree, guarded, in_turn, unguarded, write_sample

METHODS, MODELS = ("prompted-method", "tuned-method"), ("small-model", "large-model")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two methods × two models × two languages, ten answers each; `prompted` on the large model has but
    three."""
    maker = StoreMaker(tmp_path / "store")
    for language in ("en", "fr"):
        asked = maker.data(
            [
                Example(
                    item=str(i),
                    language=language,
                    instruction=f"{i} + {i}? ({language})",
                    reference=str(2 * i),
                )
                for i in range(10)
            ],
            language,
        )
        for method in METHODS:
            for model in MODELS:
                n = 3 if (method, model) == ("prompted-method", "large-model") else 10
                texts = {str(i): f"{method[0]}{model[0]} says {i}" for i in range(n)}
                maker.cell(method, model=model, language=language, texts=texts, examples=asked)
    maker.study("trial")
    rebuild(maker.folder)
    return maker.folder


def rows_of(file: Path) -> list[list[str]]:
    """The cells of a sample, as a spreadsheet opens it."""
    return list(csv.reader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")))


def units(sample: Sample) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """(language, item) -> (text, how it was drawn) of its answers."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in sample.answers:
        found.setdefault((row["language"], row["item"]), set()).add((row["text"], row["drawn"]))
    return found


def test_an_item_is_drawn_with_all_answers_to_it(store: Path) -> None:
    found = units(draw(store / WAREHOUSE, "trial", 30))
    whole = {unit: answers for unit, answers in found.items() if {how for _, how in answers} == {"random"}}
    assert len(whole) >= len(found) - 1 >= 7
    for (_, item), answers in whole.items():
        of_all = {f"{who} says {item}" for who in ("ps", "ts", "tl", *(["pl"] if int(item) < 3 else []))}
        assert {text for text, _ in answers} == of_all


def test_answers_of_the_last_item_that_are_not_all_are_no_random_draw(store: Path) -> None:
    for n in range(1, 15):
        sample = draw(store / WAREHOUSE, "trial", n)
        assert len(sample.answers) == n
        for (_, item), answers in units(sample).items():
            n_answers = 4 if int(item) < 3 else 3
            assert {how for _, how in answers} == {"random" if len(answers) == n_answers else None}


def test_languages_have_as_many_items_and_the_same_ones(store: Path) -> None:
    found = units(draw(store / WAREHOUSE, "trial", 32, seed=3))
    by_language = Counter(language for language, _ in found)
    assert abs(by_language["en"] - by_language["fr"]) <= 1
    items = {language: {item for here, item in found if here == language} for language in by_language}
    assert items["en"] <= items["fr"] or items["fr"] <= items["en"]


def test_answers_of_all_seeds_are_drawn(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    for seed in range(3):
        maker.cell("one", texts={str(i): f"{seed if i else 0} says {i}" for i in range(5)}, seed=seed)
    maker.study("trial")
    rebuild(tmp_path)
    assert len(draw(tmp_path / WAREHOUSE, "trial", 99).answers) == 4 * 3 + 1
    sample = units(draw(tmp_path / WAREHOUSE, "trial", 6))
    assert all(
        len(answers) == (1 if item == "0" else 3)
        for (_, item), answers in sample.items()
        if ("random" in {how for _, how in answers})
    )


@given(seed=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_any_item_can_be_the_first(seed: int) -> None:
    units = [("d", language, str(i)) for language in ("en", "fr") for i in range(10)]
    order = in_turn(units, seed)
    assert sorted(order) == sorted(units)
    assert order[0][2] == order[1][2]
    assert order == in_turn(units[::-1], seed)


def test_every_item_is_as_likely_as_any_other() -> None:
    units = [("d", "en", str(i)) for i in range(10)]
    first = Counter(in_turn(units, seed)[0][2] for seed in range(1000))
    assert len(first) == 10
    assert max(first.values()) < 140
    assert min(first.values()) > 60


def test_answers_on_which_judges_disagree_come_first(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    texts = {str(i): f"says {i}" for i in range(4)}
    strict: dict[str, float | str] = {"0": 1.0, "1": 1.0, "2": 3.0, "3": "unreadable"}
    mild: dict[str, float | str] = {"0": 1.0, "1": 5.0, "2": 4.0, "3": 5.0}
    maker.cell("one", texts=texts, scores={"strict=rubric": {"x": strict}, "mild=rubric": {"x": mild}})
    maker.study("trial")
    rebuild(tmp_path)
    found = draw_where_judges_disagree(tmp_path / WAREHOUSE, "trial", 1)
    assert [(row["item"], row["drawn"]) for row in found.answers] == [("1", "disagreement")]
    found = draw_where_judges_disagree(tmp_path / WAREHOUSE, "trial", 9)
    assert sorted(row["item"] for row in found.answers) == ["1", "2"], "of the rest they do not disagree"


def test_a_study_whose_judges_never_disagree_has_no_such_sample(store: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no answer on which two judges .* disagree"):
        draw_where_judges_disagree(store / WAREHOUSE, "trial", 5)


def test_a_seed_draws_the_same_again_and_another_seed_others(store: Path) -> None:
    one, again, other = (draw(store / WAREHOUSE, "trial", 24, seed) for seed in (1, 1, 2))
    assert one == again
    assert {row["answer_id"] for row in one.answers} != {row["answer_id"] for row in other.answers}


def test_the_order_tells_nothing_of_the_strata(store: Path) -> None:
    shown = [row["method"] for row in draw(store / WAREHOUSE, "trial", 66).answers]
    assert shown != sorted(shown) != shown[::-1]
    changes = sum(a != b for a, b in itertools.pairwise(shown))
    assert changes > 15, "answers of one method stand together"
    items = [row["item"] for row in draw(store / WAREHOUSE, "trial", 66).answers]
    assert items != sorted(items)


def test_a_sample_says_nothing_of_method_and_model(store: Path, tmp_path: Path) -> None:
    write_sample(draw(store / WAREHOUSE, "trial", 24), (), tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text("utf-8-sig")
    assert not [name for name in (*METHODS, *MODELS, "quiz", "trial", "cell-", "generate-") if name in text]
    header, *rows = rows_of(tmp_path / "a.csv")
    assert header == [
        "answer_id",
        "language",
        "instruction",
        "answer",
        "reference",
        "score",
        "comment",
        "drawn",
    ]
    assert len(rows) == 24
    assert all(row[2].endswith(f"({row[1]})") and row[4] and row[5:7] == ["", ""] for row in rows)


def test_aspects_have_columns_of_their_own_and_an_unused_reference_has_none(tmp_path: Path) -> None:
    answer = {"answer_id": "a1", "language": "en", "instruction": None, "text": "yes", "reference": None}
    answer["drawn"] = "random"
    write_sample(Sample((answer,), 1), ("clarity", "depth"), tmp_path / "a.csv")
    header, row = rows_of(tmp_path / "a.csv")
    assert header == [
        "answer_id",
        "language",
        "instruction",
        "answer",
        "clarity",
        "depth",
        "comment",
        "drawn",
    ]
    assert row == ["a1", "en", "", "yes", "", "", "", "random"]


@pytest.mark.parametrize("aspects", [("answer",), ("a", "a"), ("=cmd()",), ("",)])
def test_a_name_that_cannot_head_a_column_is_refused(aspects: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="cannot name a column of scores"):
        write_sample(Sample((), 0), aspects, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_file_that_may_hold_labels_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("work of a week")
    with pytest.raises(ArgumentError, match=r"a\.csv is there already"):
        write_sample(Sample((), 0), (), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text() == "work of a week"


def test_answers_of_equal_text_are_shown_once(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    for method in METHODS:
        maker.cell(method, texts={"1": "the same", "2": f"not {method}", "3": None})
    maker.study("trial")
    rebuild(tmp_path)
    assert sorted(row["text"] for row in draw(tmp_path / WAREHOUSE, "trial", 9).answers) == [
        "not prompted-method",
        "not tuned-method",
        "the same",
    ]


def test_a_study_that_is_not_there_is_reported(store: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no study `trail`. .*trial"):
        draw(store / WAREHOUSE, "trail", 5)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''", "'"]
)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert guarded(text) == f"'{text}"


@given(st.text())
def test_a_guarded_text_can_be_read_back(text: str) -> None:
    assert unguarded(guarded(text)) == text
    assert not guarded(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))

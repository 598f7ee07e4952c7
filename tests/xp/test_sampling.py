"""Annotators' samples: as many answers from each stratum, in an order of its own, and not a word of who
gave them."""

import csv
import io
import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.data.records import Example
from dsl.errors import ArgumentError
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE
from warehouse.load import rebuild
from xp.sampling import Sample, draw, guarded, unguarded, write_sample

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


def strata(sample: Sample) -> Counter[tuple[str, ...]]:
    return Counter(tuple(row[name] for name in ("language", "method", "model")) for row in sample.answers)


def test_each_stratum_gives_as_many_as_any_other(store: Path) -> None:
    found = strata(draw(store / WAREHOUSE, "trial", 24))
    assert len(found) == 8
    assert set(found.values()) == {3}


def test_all_strata_answer_the_same_items_so_that_they_can_be_paired(store: Path) -> None:
    items: dict[tuple[str, ...], set[str]] = {}
    for row in draw(store / WAREHOUSE, "trial", 32, seed=3).answers:
        items.setdefault((row["language"], row["method"], row["model"]), set()).add(row["item"])
    full = [found for stratum, found in items.items() if stratum[1:] != ("prompted-method", "large-model")]
    assert len(full) == 6
    assert len(full[0]) >= 4
    assert len(set.intersection(*full)) >= 4


def test_each_item_comes_once_before_a_second_text_of_another_seed(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    for seed in range(3):
        maker.cell("one", texts={str(i): f"{seed} says {i}" for i in range(5)}, seed=seed)
    maker.study("trial")
    rebuild(tmp_path)
    assert sorted(row["item"] for row in draw(tmp_path / WAREHOUSE, "trial", 5).answers) == [
        "0",
        "1",
        "2",
        "3",
        "4",
    ]
    assert len(draw(tmp_path / WAREHOUSE, "trial", 99).answers) == 15


def test_a_text_of_two_methods_counts_for_both(tmp_path: Path) -> None:
    maker = StoreMaker(tmp_path)
    for method in METHODS:
        maker.cell(method, texts={str(i): "yes" if i < 5 else method for i in range(10)})
    maker.study("trial")
    rebuild(tmp_path)
    for n in (4, 9):
        items = Counter(row["item"] for row in draw(tmp_path / WAREHOUSE, "trial", n).answers)
        assert all(items[str(i)] <= 1 for i in range(5))
        assert sum(items[str(i)] == 1 for i in range(5, 10)) <= 1, (
            "at most the last item is drawn of one method alone"
        )


def test_what_one_stratum_lacks_the_others_give(store: Path) -> None:
    found = strata(draw(store / WAREHOUSE, "trial", 43))
    small = [found[language, "prompted-method", "large-model"] for language in ("en", "fr")]
    rest = [n for stratum, n in found.items() if stratum[1:] != ("prompted-method", "large-model")]
    assert small == [3, 3]
    assert sorted(rest) == [6, 6, 6, 6, 6, 7]
    assert sum(strata(draw(store / WAREHOUSE, "trial", 1000)).values()) == 6 * 10 + 2 * 3


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
    assert header == ["answer_id", "language", "instruction", "answer", "reference", "score", "comment"]
    assert len(rows) == 24
    assert all(row[2].endswith(f"({row[1]})") and row[4] and row[5:] == ["", ""] for row in rows)


def test_aspects_have_columns_of_their_own_and_an_unused_reference_has_none(tmp_path: Path) -> None:
    answer = {"answer_id": "a1", "language": "en", "instruction": None, "text": "yes", "reference": None}
    write_sample(Sample((answer,), 1), ("clarity", "depth"), tmp_path / "a.csv")
    header, row = rows_of(tmp_path / "a.csv")
    assert header == ["answer_id", "language", "instruction", "answer", "clarity", "depth", "comment"]
    assert row == ["a1", "en", "", "yes", "", "", ""]


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

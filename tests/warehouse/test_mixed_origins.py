"""Rows that were not made alike are flagged, and half precision is labelled."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from dsl.data.records import Completion, Provenance, Verdict
from tests.warehouse.stores import StoreMaker
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.report.caveats import caveats

HERE = Provenance(code="a" * 16, device="cpu", dtype="float32", versions={"torch": "2.13.0"})


def write(maker: StoreMaker, origins: Sequence[Provenance | None]) -> Path:
    """A study with one answer of each origin, and its warehouse."""
    cell = maker.cell(texts={str(n): "four" for n in range(len(origins))})
    file = maker.folder / "steps" / cell.generate / "completions.jsonl"
    rows = [Completion.model_validate_json(line) for line in file.read_text("utf-8").splitlines()]
    made = [row.model_copy(update={"provenance": origin}) for row, origin in zip(rows, origins, strict=True)]
    file.write_text("".join(row.model_dump_json() + "\n" for row in made), "utf-8")
    maker.study()
    rebuild(maker.folder)
    return maker.folder / WAREHOUSE


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ({"code": "b" * 16}, (2, 1, 1, 1)),
        ({"device": "cuda"}, (1, 2, 1, 1)),
        ({"dtype": "bfloat16"}, (1, 1, 2, 1)),
        ({"versions": {"torch": "2.14.0"}}, (1, 1, 1, 2)),
    ],
)
def test_rows_that_differ_in_what_made_them_are_flagged(
    maker: StoreMaker, other: dict[str, object], counts: tuple[int, ...]
) -> None:
    with connect(write(maker, [HERE, HERE, HERE.model_copy(update=other)]), read_only=True) as connection:
        found = connection.execute(
            "select made_by, n_codes, n_devices, n_dtypes, n_versions, n_rows from mixed_origins"
        ).fetchall()
    assert found == [("echo", *counts, 3)]


def test_verdicts_that_were_not_made_alike_are_flagged_by_their_judge(maker: StoreMaker) -> None:
    cell = maker.cell(scores={"good=rubric": {"clarity": {"1": 4.0, "2": 3.0}}})
    file = maker.folder / "steps" / cell.judges["good"].step / "verdicts.jsonl"
    rows = [Verdict.model_validate_json(line) for line in file.read_text("utf-8").splitlines()]
    made = [
        row.model_copy(update={"provenance": HERE.model_copy(update={"code": code * 16})})
        for row, code in zip(rows, "ab", strict=True)
    ]
    file.write_text("".join(row.model_dump_json() + "\n" for row in made), "utf-8")
    maker.study()
    rebuild(maker.folder)
    with connect(maker.folder / WAREHOUSE, read_only=True) as connection:
        found = connection.execute("select kind, made_by, n_codes, n_rows from mixed_origins").fetchall()
    assert found == [("judge", "rubric", 2, 2)]


def test_rows_that_were_made_alike_are_not_flagged_nor_are_rows_of_which_nothing_is_known(
    maker: StoreMaker,
) -> None:
    with connect(write(maker, [HERE, HERE, Provenance(code=HERE.code), None]), read_only=True) as connection:
        assert connection.execute("from mixed_origins").fetchall() == []


def test_half_precision_is_labelled_as_not_reproducible_to_the_token(maker: StoreMaker) -> None:
    half = [HERE.model_copy(update={"dtype": dtype}) for dtype in ("bfloat16", "float16")]
    with connect(write(maker, [HERE, *half, None]), read_only=True) as connection:
        found = connection.execute("select dtype, is_reproducible from completions order by item").fetchall()
    assert found == [("float32", True), ("bfloat16", False), ("float16", False), (None, None)]


def test_a_mixture_is_a_caveat_in_words() -> None:
    row = {
        "kind": "generate",
        "made_by": "transformers",
        "n_codes": 2,
        "n_devices": 1,
        "n_dtypes": 1,
        "n_versions": 3,
        "n_rows": 9,
    }
    (caveat,) = caveats([], [], [], mixed=[row])
    assert caveat.headline == "Rows that are compared were not all made alike."
    assert "generate (transformers) by 2 versions of the code and 3 sets of libraries" in caveat.whole
    assert caveats([], [], []) == []

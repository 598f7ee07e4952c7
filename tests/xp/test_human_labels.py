"""Labelled files become a judge's verdicts, or every fault in them is reported and nothing changes."""

import csv
import itertools
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dsl.data.records import Label
from dsl.errors import ArgumentError, StoreLocked
from runners.store.store import Store
from tests.warehouse.stores import StoreMaker
from tests.xp import commands
from tests.xp.test_sampling import rows_of
from warehouse.connect import WAREHOUSE, connect
from warehouse.load import rebuild
from warehouse.statements import fetch
from xp.cli import app
from xp.human_labels import Labelled, import_labels, read_labels, read_scale
from xp.sampling import Sample, draw, unguarded, write_sample

KNOWN = ("a1", "a2", "a3")


def read(folder: Path, text: str | bytes, scale: tuple[float, float] | None = None) -> Labelled:
    (folder / "filled.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_labels(folder / "filled.csv", KNOWN, scale)


def faults(folder: Path, text: str | bytes, scale: tuple[float, float] | None = None) -> list[str]:
    with pytest.raises(ArgumentError) as error:
        read(folder, text, scale)
    return str(error.value).replace(f"{folder}/", "").splitlines()


def test_scores_comments_and_blanks_are_distinguished(tmp_path: Path) -> None:
    found = read(
        tmp_path, "answer_id,answer,score,comment\na1,x,0.5,'=fine\na2,y, 1 ,\na3,z,,no idea\n,,,\n\n", (0, 1)
    )
    assert found.labels == [
        Label(answer_id="a1", score=0.5, comment="=fine", scale_low=0, scale_high=1),
        Label(answer_id="a2", score=1, scale_low=0, scale_high=1),
    ]
    assert (found.n_answers, found.n_blank) == (2, 1)


def test_every_column_that_is_not_the_sample_s_own_is_an_aspect(tmp_path: Path) -> None:
    found = read(tmp_path, "answer_id,clarity,depth\na1,4,\na2,5,2\n")
    assert [(label.answer_id, label.aspect, label.score) for label in found.labels] == [
        ("a1", "clarity", 4),
        ("a2", "clarity", 5),
        ("a2", "depth", 2),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "answer_id;answer;score\na1;so, so;4,5\n",
        "answer_id\tanswer\tscore\na1\tso; so\t4.5\n",
        "\ufeffanswer_id,score\r\na1,4.5\r\n",
        '"score","answer_id"\r"4,5","a1"\r',
    ],
)
def test_what_spreadsheets_of_any_language_save_is_read(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text).labels == [Label(answer_id="a1", score=4.5)]


def test_every_fault_is_reported_with_its_line(tmp_path: Path) -> None:
    text = 'answer_id,answer,score\na1,"two\nlines",2\na9,x,1\na2,x,good\na1,x,1\n,x,1\na3,x\na2,x,nan\n'
    assert faults(tmp_path, text, (0, 1)) == [
        "filled.csv is invalid, and nothing of it is imported:",
        "filled.csv:2: `score` is 2, outside of the scale from 0 to 1",
        "filled.csv:4: no answer of the study is called 'a9'",
        "filled.csv:5: `score` is 'good', which is no number",
        "filled.csv:6: the answer a1 is on line 2 already",
        "filled.csv:7: no `answer_id`",
        "filled.csv:8: 2 cells under 3 column names",
        "filled.csv:9: the answer a2 is on line 5 already",
        "filled.csv:9: `score` is 'nan', which is no number",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "filled.csv:1: no column `answer_id`"),
        (
            "id,score\na1,1\n",
            "filled.csv:1: no column `answer_id`: it says which answer a row is about. There are: id, score",
        ),
        ("answer_id,score,score\na1,1,1\n", "filled.csv:1: the column `score` is there more than once"),
        ("answer_id,answer,comment\na1,x,y\n", "filled.csv:1: no column of scores"),
        ("answer_id,score,\na1,1,\n", "filled.csv:1: column 3 is called ''"),
        ('answer_id,score\na1,1\na2,"1\n', "filled.csv:3: not CSV"),
        ("answer_id,score\na1,\n", "filled.csv: no row has a score"),
        (
            "answer_id,score\na1,é\n".encode("latin-1"),
            "filled.csv: not UTF-8 at byte 19. In a spreadsheet, save it as `CSV UTF-8`",
        ),
    ],
)
def test_a_file_that_is_no_labelled_sample_is_reported(text: str | bytes, says: str, tmp_path: Path) -> None:
    assert any(line.startswith(says) for line in faults(tmp_path, text))


def test_how_an_answer_was_drawn_comes_back_with_its_label(tmp_path: Path) -> None:
    found = read(tmp_path, "answer_id,score,drawn\na1,1,random\na2,1,disagreement\na3,1,\n")
    assert [label.drawn for label in found.labels] == ["random", "disagreement", None]
    assert read(tmp_path, "answer_id,score\na1,1\n").labels[0].drawn is None
    assert faults(tmp_path, "answer_id,score,drawn\na1,1,by me\n")[1:] == [
        "filled.csv:2: `drawn` is 'by me'. `xp sample` writes `random`, `disagreement` or nothing there:"
        " leave it as it is"
    ]


@pytest.mark.parametrize(
    ("text", "drawn", "left_out"),
    [
        (
            "answer_id,score,drawn\na1,1,random\na2,,random\na3,1,disagreement\n",
            [None, "disagreement"],
            {"human": 1},
        ),
        ("answer_id,score,drawn\na1,1,random\na2,,disagreement\na3,,\n", ["random"], {}),
        (
            "answer_id,depth,clarity,drawn\na1,1,1,random\na2,,1,random\na3,,1,random\n",
            [None, "random", "random", "random"],
            {"depth": 2},
        ),
        ("answer_id,depth,unused,drawn\na1,1,,random\na2,1,,random\n", ["random", "random"], {}),
    ],
)
def test_labels_of_an_aspect_that_a_random_answer_lacks_are_of_no_random_draw(
    text: str, drawn: list[str | None], left_out: dict[str, int], tmp_path: Path
) -> None:
    found = read(tmp_path, text)
    assert [label.drawn for label in found.labels] == drawn
    assert found.n_left_out == left_out


@pytest.mark.parametrize(("text", "scale"), [("0..1", (0, 1)), ("1..5", (1, 5)), ("-1.5..1.5", (-1.5, 1.5))])
def test_a_scale_is_two_numbers(text: str, scale: tuple[float, float]) -> None:
    assert read_scale(text) == scale


@pytest.mark.parametrize("text", ["", "1", "5..1", "1..1", "a..b", "0..inf", "0.."])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="no scale"):
        read_scale(text)


@given(
    texts=st.lists(st.text(), min_size=1, max_size=5),
    scores=st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_any_text_survives_the_way_to_the_annotator_and_its_score_the_way_back(
    texts: list[str], scores: list[float]
) -> None:
    answers = tuple(
        {"answer_id": f"a{i}", "language": "en", "instruction": text, "text": text, "reference": text}
        for i, text in enumerate(texts)
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sample.csv"
        try:
            write_sample(Sample(answers, 1), (), file)
        except UnicodeEncodeError:
            assert any("\ud800" <= c <= "\udfff" for text in texts for c in text), (
                "only half a pair, which no warehouse holds, is no text"
            )
            return
        header, *rows = rows_of(file)
        place = header.index("answer")
        assert [unguarded(row[place]) for row in rows] == texts
        for row, score in zip(rows, scores, strict=False):
            row[header.index("score")] = repr(score)
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([header, *rows])
        found = read_labels(file, [row["answer_id"] for row in answers])
        assert [(label.answer_id, label.score) for label in found.labels] == [
            (f"a{i}", scores[i]) for i in range(len(texts))
        ]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    maker = StoreMaker(tmp_path / "store")
    for method in ("one", "two"):
        maker.cell(
            method, texts={"1": "the same", "2": f"{method}'s"}, scores={"correct=contains": {"1": 1.0}}
        )
    maker.study("trial")
    rebuild(maker.folder)
    return maker.folder


def filled(store: Path, scores: list[str]) -> Path:
    """A drawn sample with these scores, each in its turn."""
    file = store.parent / f"{len(list(store.parent.iterdir()))}.csv"
    write_sample(draw(store / WAREHOUSE, "trial", 10), (), file)
    header, *rows = rows_of(file)
    for row, score in zip(rows, itertools.cycle(scores), strict=False):
        row[header.index("score")] = score
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return file


def verdicts(store: Path) -> list[dict[str, Any]]:
    with connect(store / WAREHOUSE, read_only=True) as connection:
        return fetch(
            connection,
            "select method, item, measure, score from verdicts where judge_kind = 'human' order by all",
        )


def files(store: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in store.rglob("*.jsonl") if path.parent.parent.name == "labels"
    }


def test_labels_are_verdicts_at_once_and_after_a_rebuild(store: Path) -> None:
    found = import_labels(store, store / WAREHOUSE, "trial", filled(store, ["1"]), "anna", (0, 1))
    assert (len(found.labels), found.n_answers, found.n_blank) == (3, 3, 0)
    before = verdicts(store)
    assert before == [
        {"method": m, "item": i, "measure": "anna", "score": 1.0} for m in ("one", "two") for i in ("1", "2")
    ]
    rebuild(store)
    assert verdicts(store) == before


def test_drawn_answers_that_are_left_blank_are_told_and_nothing_counts_as_drawn_at_random(
    store: Path,
) -> None:
    def imported(scores: list[str]) -> str:
        file = str(filled(store, scores))
        done = CliRunner().invoke(
            app, ["import-labels", "trial", file, "--judge", "anna", "--store", str(store)]
        )
        assert done.exit_code == 0, done.output
        return done.stderr

    assert imported(["1"]) == ""
    assert ways_drawn(store) == {"random"}
    assert (
        imported(["1", "1", ""]) == "anna: 1 drawn answer is blank: these labels count for agreement only\n"
    )
    assert ways_drawn(store) == {"elsewhere"}


def ways_drawn(store: Path) -> set[str]:
    with connect(store / WAREHOUSE, read_only=True) as connection:
        asked = "select distinct drawn from verdicts where judge = 'anna' and score is not null"
        return {row["drawn"] for row in fetch(connection, asked)}


def test_a_second_import_takes_the_place_of_the_first_of_its_name_and_of_no_other(store: Path) -> None:
    for judge, score in (("anna", "1"), ("ben", "0.25"), ("anna", "0.5")):
        import_labels(store, store / WAREHOUSE, "trial", filled(store, [score]), judge)
    assert {(row["measure"], row["score"]) for row in verdicts(store)} == {("anna", 0.5), ("ben", 0.25)}
    assert sorted(files(store)) == ["anna.jsonl", "ben.jsonl"]


def test_nothing_changes_where_anything_is_wrong(store: Path) -> None:
    import_labels(store, store / WAREHOUSE, "trial", filled(store, ["1"]), "anna")
    before = files(store), verdicts(store)
    bad, good = filled(store, ["1", "x"]), filled(store, ["0"])
    for file, judge, experiment in (
        (bad, "anna", "trial"),
        (good, "correct", "trial"),
        (good, "../x", "trial"),
        (good, "anna", "other"),
    ):
        with pytest.raises(ArgumentError):
            import_labels(store, store / WAREHOUSE, experiment, file, judge)
    with Store(store).lock(), pytest.raises(StoreLocked):
        import_labels(store, store / WAREHOUSE, "trial", good, "anna")
    assert (files(store), verdicts(store)) == before


def xp(*arguments: str, store: Path) -> subprocess.CompletedProcess[str]:
    return commands.xp(*arguments, "--store", str(store), cwd=store.parent)


def test_the_commands_go_from_a_sample_to_a_judge(store: Path) -> None:
    drawn = xp("sample", "trial", "--rows", "2", "--aspect", "clarity", store=store)
    assert drawn.stdout == "labels/trial.csv: 2 answers to 2 items, counted in each language\n", drawn.stderr
    file = store.parent / "labels" / "trial.csv"
    again = xp("sample", "trial", store=store)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    header, *rows = rows_of(file)
    place = header.index("clarity")
    rows[0][place], rows[1][place] = "4", "6"
    file.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in [header, *rows]), "utf-8")
    command = ("import-labels", "trial", "labels/trial.csv", "--judge", "anna", "--scale")
    refused = xp(*command, "1..5", store=store)
    assert refused.returncode == 2
    assert "labels/trial.csv:3: `clarity` is 6, outside of the scale from 1 to 5" in refused.stderr
    taken = xp(*command, "1..6", store=store)
    assert taken.stdout == "anna: 2 labels of 2 answers; 0 answers have none\n", taken.stderr
    asked = xp(
        "query",
        "select distinct judge_kind, measure, score from verdicts where judge = 'anna' order by 3",
        "--format",
        "csv",
        store=store,
    )
    assert asked.stdout.split() == [
        "judge_kind,measure,score",
        "human,anna.clarity,4.0",
        "human,anna.clarity,6.0",
    ]

"""Parquet files with their description, read back by pyarrow and by mlcroissant."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from tests.xp.exports.exported import ANSWERS, exported, in_environment


def test_files_hold_each_answer_and_each_verdict(store: Path, tmp_path: Path) -> None:
    exported("parquet", store, tmp_path)
    completions: Any = parquet.read_table(tmp_path / "completions.parquet").to_pylist()
    verdicts: Any = parquet.read_table(tmp_path / "verdicts.parquet").to_pylist()
    assert (len(completions), len(verdicts)) == (16, 48)
    theirs = {
        row["item"]: row["text"]
        for row in completions
        if (row["method"], row["language"]) == ("theirs", "en")
    }
    assert theirs == ANSWERS
    assert sum(row["measure"] == "grade" and row["score"] is None for row in verdicts) == 4 + 8, (
        "no grade is of an echo"
    )


def test_the_description_names_each_column_and_the_digest_of_each_file(store: Path, tmp_path: Path) -> None:
    exported("parquet", store, tmp_path)
    about = json.loads((tmp_path / "croissant.json").read_text("utf-8"))
    for file, records in zip(about["distribution"], about["recordSet"], strict=True):
        path = tmp_path / file["contentUrl"]
        assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        schema: Any = parquet.read_schema(path)
        assert [field["name"] for field in records["field"]] == schema.names
    kinds = {
        field["name"]: (field["dataType"], field.get("repeated", False))
        for field in about["recordSet"][0]["field"]
    }
    assert kinds["accepted_answers"] == ("sc:Text", True)
    assert kinds["num_parameters"] == ("sc:Integer", False)


@pytest.mark.other_tools
def test_mlcroissant_reads_every_row(store: Path, tmp_path: Path) -> None:
    exported("parquet", store, tmp_path / "out")
    read = """
import json, sys
import mlcroissant
dataset = mlcroissant.Dataset(sys.argv[1] + "/croissant.json")
plain = lambda value: value.decode() if isinstance(value, bytes) else None
found = {name: [{key: plain(value) for key, value in row.items()} for row in dataset.records(name)]
    for name in ("completions", "verdicts")}
print(json.dumps(found))
"""
    found: Any = in_environment("every-eval-ever", read, tmp_path / "out")
    assert (len(found["completions"]), len(found["verdicts"])) == (16, 48)
    assert ANSWERS["two"] in [row["completions/text"] for row in found["completions"]]

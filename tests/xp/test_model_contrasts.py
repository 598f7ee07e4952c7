"""A study of recorded models, from its spec to its report: models are compared as models."""

import json
from pathlib import Path

from tests.xp.small_study import diff_of
from warehouse.connect import WAREHOUSE, connect
from warehouse.report.markdown import as_markdown
from warehouse.report.reading import read_study
from warehouse.statements import fetch
from xp.apply import apply

STUDY = {
    "experiment": "hosted",
    "languages": ["en"],
    "models": {"gpt": {}, "claude": {"recorded": "claude=3 + opus"}},
    "data": {
        "asked": {
            "rows": {"path": "asked.jsonl"},
            "columns": {"item": "id", "instruction": "q", "answers": "a"},
        }
    },
    "evaluate": ["asked"],
    "methods": {
        "theirs": {
            "method": "recorded",
            "answers": {"path": "{model}.jsonl"},
            "columns": {"item": "id", "instruction": "q", "response": "o"},
        }
    },
    "judges": {
        "correct": {"judge": "exact"},
        "gold": {
            "judge": "recorded",
            "verdicts": {"path": "gold.csv"},
            "columns": {
                "item": "id",
                "response": "o",
                "score": {"column": "right", "values": {"yes": 1, "no": 0}},
            },
            "people": True,
        },
        "model": {
            "judge": "recorded",
            "verdicts": {"path": "{model} judged.jsonl"},
            "columns": {"item": "id", "score": "s"},
            "score_range": [0, 1],
        },
    },
    "contrasts": {"gap": {"of": {"model": "gpt"}, "against": {"model": "claude"}, "on": ["model"]}},
}


def test_models_are_compared_and_the_report_says_how_far_the_judge_agrees_with_people(tmp_path: Path) -> None:
    def write(name: str, rows: list[dict[str, object]]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    write("asked.jsonl", [{"id": f"q{i}", "q": f"{i}?", "a": f"{i}"} for i in range(12)])
    right = {"gpt": range(12), "claude=3 + opus": range(4)}
    gold = ["id,o,right"]
    for word, ones in right.items():
        answers = [f"{i}" if i in ones else f"no {i}" for i in range(12)]
        write(f"{word}.jsonl", [{"id": f"q{i}", "q": f"{i}?", "o": o} for i, o in enumerate(answers)])
        write(f"{word} judged.jsonl", [{"id": f"q{i}", "s": i in ones and i > 0} for i in range(12)])
        gold += [f"q{i},{o},{'yes' if i in ones else 'no'}" for i, o in enumerate(answers)]
    (tmp_path / "gold.csv").write_text("\n".join(dict.fromkeys(gold)) + "\n", "utf-8")
    (tmp_path / "study.yaml").write_text(json.dumps(STUDY), "utf-8")

    store = tmp_path / "store"
    assert apply(diff_of(tmp_path / "study.yaml", store), store, in_process=True).failures == ()
    with connect(store / WAREHOUSE, read_only=True) as connection:
        rows = fetch(connection, "from contrast_by_language_and_size order by measure")
        assert [(row["measure"], row["of"], row["against"], row["method"]) for row in rows] == [
            (measure, "gpt", "claude", "theirs") for measure in ("correct", "gold", "model")
        ]
        assert [(row["estimate"], row["n"]) for row in rows] == [(8 / 12, 12)] * 3
        assert {row["family"] for row in rows if row["measure"] == "model"} == {"confirmatory"}
    page = as_markdown(read_study(store / WAREHOUSE, "hosted"))
    assert "gpt against claude: `model` (recorded verdict) +67 \\[" in page
    assert "Its agreement with people, Krippendorff's α, is 0.83 with `gold` (n = 24 answers)." in page
    assert "Not drawn by size, since `parameters` are not stated: gpt, claude." in page

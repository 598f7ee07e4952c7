"""A study with what is hard to export: missing answers, unscored verdicts, hostile text, two languages."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.xp.small_study import diff_of
from xp.apply import apply
from xp.exports.exporting import Exported, ExportFormat, export_results

ROOT = Path(__file__).resolve().parents[3]

HOSTILE = '</script><script>alert(1)</script> \u2028 "; drop table x; -- ../../etc \x1b[31m {{7*7}}'

ANSWERS = {"a/../b": "Rome", "two": HOSTILE, "three": None, "four": "Lima"}
SCORES = {"a/../b": 5, "two": 1, "three": None, "four": None}


def study(folder: Path) -> Path:
    """Write and apply it; returns the store."""
    for language in ("en", "fr"):
        asked = [{"id": item, "q": f"{language}: {item}?", "gold": ["Rome"]} for item in ANSWERS]
        said = [
            {"id": item, "text": text, "grade": SCORES[item], "is_right": int(text == "Rome")}
            for item, text in ANSWERS.items()
        ]
        for name, rows in (("asked", asked), ("said", said)):
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}_{language}.jsonl").write_text(lines, "utf-8")
    verdicts = {"judge": "recorded", "verdicts": {"path": "said_{language}.jsonl"}}
    spec = folder / "study.yaml"
    spec.write_text(
        json.dumps(
            {
                "experiment": "hard",
                "question": "Is <b>text</b> data?",
                "languages": ["en", "fr"],
                "models": {"acme__tiny": {"parameters": 1000}, "echo": {"base": {"engine": "echo"}}},
                "data": {
                    "asked": {
                        "rows": {"path": "asked_{language}.jsonl"},
                        "columns": {"item": "id", "instruction": "q", "answers": "gold"},
                    }
                },
                "evaluate": ["asked"],
                "methods": {
                    "theirs": {
                        "method": "recorded",
                        "answers": {"path": "said_{language}.jsonl"},
                        "columns": {"item": "id", "response": "text"},
                    },
                    "zero_shot": {"method": "icl", "num_fewshot": 0},
                },
                "only": [
                    {"model": "acme__tiny", "method": "theirs"},
                    {"model": "echo", "method": "zero_shot"},
                ],
                "judges": {
                    "grade": verdicts
                    | {
                        "columns": {"item": "id", "response": "text", "score": "grade"},
                        "score_range": [1, 5],
                    },
                    "correct": {"judge": "contains"},
                    "length": {"judge": "length"},
                },
                "decoding": {"max_new_tokens": 32, "temperature": 0.5, "top_k": 7},
            }
        ),
        "utf-8",
    )
    store = folder / "store"
    assert apply(diff_of(spec, store), store, in_process=True).failures == ()
    return store


def exported(format: ExportFormat, store: Path, out: Path) -> Exported:
    return export_results(format, store / "warehouse.duckdb", "hard", out)


def in_environment(name: str, code: str, *arguments: Path) -> object:
    """Run a program with another tool's packages; returns the JSON that it prints last."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        pytest.skip("`make test-servers` installs it")
    done = subprocess.run(
        [python, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=arguments[0].parent
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

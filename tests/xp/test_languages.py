"""Rows that are read for a language and are in another one are told of before they are asked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsl.checks.load import load
from xp.languages import other_languages
from xp.studies import diff_for

SPECS = Path(__file__).resolve().parents[2] / "specs"

ENGLISH = [
    "Which planet of the solar system is the largest one?",
    "How many legs does a spider have, and how many an ant?",
    "Name the ocean that lies between Europe and America.",
    "Who wrote the play about the prince of Denmark?",
]
FRENCH = [
    "Quelle est la plus grande planète du système solaire ?",
    "Combien de pattes une araignée a-t-elle, et une fourmi ?",
    "Nomme l'océan qui se trouve entre l'Europe et l'Amérique.",
    "Qui a écrit la pièce sur le prince du Danemark ?",
]


def study(folder: Path, french: list[str]) -> Path:
    for language, texts in (("en", ENGLISH), ("fr", french)):
        rows = [{"id": f"q{n}", "q": text} for n, text in enumerate(texts, 1)]
        (folder / f"q_{language}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    spec = {
        "experiment": "spoken",
        "languages": ["en", "fr"],
        "models": {"m": {"base": {"engine": "echo"}}},
        "data": {
            "d": {
                "rows": {"path": "q_{language}.jsonl"},
                "columns": {"item": "id", "instruction": "q"},
                "parallel": False,
            }
        },
        "evaluate": ["d"],
        "methods": {"zero": {"method": "icl", "num_fewshot": 0}},
    }
    (folder / "s.yaml").write_text(json.dumps(spec), "utf-8")  # JSON is YAML
    return folder / "s.yaml"


def told(spec: Path) -> list[str]:
    loaded = load(spec)
    found = other_languages(loaded.samples, loaded.experiment.languages)
    return [f"data.{dataset}.rows: {why}" for dataset, why in found]


def test_a_short_question_is_identified_by_the_conversation_before_it(tmp_path: Path) -> None:
    spec = study(tmp_path, FRENCH)
    talks = [
        {"id": n, "q": [{"role": "user", "content": text}, said, {"role": "user", "content": "Ok ?"}]}
        for n, text in enumerate(ENGLISH, 1)
        for said in [{"role": "assistant", "content": "That is a good question, so let me think about it."}]
    ]
    (tmp_path / "q_fr.jsonl").write_text("".join(json.dumps(row) + "\n" for row in talks), "utf-8")
    asked = [{"id": n, "q": [{"role": "user", "content": text}]} for n, text in enumerate(ENGLISH, 1)]
    (tmp_path / "q_en.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), "utf-8")
    spec.write_text(spec.read_text("utf-8").replace('"instruction"', '"messages"'), "utf-8")
    (found,) = told(spec)
    assert "4 of 4 rows looked at that are read as `fr` look like another language (en 4)" in found


def test_rows_in_another_language_than_they_are_read_for_are_a_warning_with_examples(tmp_path: Path) -> None:
    assert told(study(tmp_path, FRENCH)) == []
    (found,) = told(study(tmp_path, [*FRENCH[:2], *[f"{text} Why?" for text in ENGLISH[2:]]]))
    assert found == (
        "data.d.rows: 2 of 4 rows looked at that are read as `fr` look like another language (en 2): `q3`,"
        " `q4`. Do the path and the column `language` name the right rows?"
    )


def test_one_row_among_many_and_a_short_one_are_none(tmp_path: Path) -> None:
    more = [text.replace("?", f"{n} ?") for n in range(2) for text in FRENCH]
    assert told(study(tmp_path, [*more, ENGLISH[0]])) == []
    assert told(study(tmp_path, ["Oui ?", "Hello!", "No way", "Well"])) == []


@pytest.mark.parametrize("spec", ["quickstart", "smoke"])
def test_shipped_rows_are_in_their_languages(spec: str) -> None:
    assert told(SPECS / f"{spec}.yaml") == []


def test_validate_and_apply_tell_and_a_plan_loads_no_judge(tmp_path: Path) -> None:
    spec = study(tmp_path, [f"{text} Why?" for text in ENGLISH])
    store = tmp_path / "store"
    found = diff_for(spec, None, None, store, identify=True).warnings
    assert ["look like another language (en 4)" in warning for warning in found] == [True]
    assert diff_for(spec, None, None, store).warnings == ()
    code = (
        "import sys; from pathlib import Path; from xp.studies import diff_for;"
        f"diff_for(Path({str(spec)!r}), None, None, Path({str(store)!r}));"
        "sys.exit('lingua' in sys.modules or 'runners.judges.language' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""`xp init`: a starter study and the small data it asks about, both to be changed."""

import json
from pathlib import Path

from dsl.errors import XpError

STARTER = Path(__file__).with_name("starter.yaml")

QUESTIONS = {
    "en": [
        ("capital", "What is the capital of Italy?", ["Rome"]),
        ("spider", "How many legs does a spider have?", ["8", "eight"]),
    ],
    "fr": [
        ("capital", "Quelle est la capitale de l'Italie ?", ["Rome"]),
        ("spider", "Combien de pattes a une araignée ?", ["8", "huit"]),
    ],
    "es": [
        ("capital", "¿Cuál es la capital de Italia?", ["Roma"]),
        ("spider", "¿Cuántas patas tiene una araña?", ["8", "ocho"]),
    ],
}
"""Two questions in three languages: (item, instruction, accepted answers)."""


def write_starter(spec: Path) -> tuple[Path, ...]:
    """Write the study and its questions beside it; returns the files.

    Raises:
        XpError: one of the files is there already. Nothing is written then.
    """
    files = {spec: STARTER.read_text("utf-8")}
    for language, questions in QUESTIONS.items():
        rows = [
            {"item": item, "instruction": asked, "answers": answers} for item, asked, answers in questions
        ]
        files[spec.parent / f"questions_{language}.jsonl"] = "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows
        )
    if there := [str(path) for path in files if path.exists()]:
        raise XpError(
            f"{', '.join(there)}: already there, and not overwritten. Name another: xp init other/study.yaml"
        )
    spec.parent.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, "utf-8")
    return tuple(files)

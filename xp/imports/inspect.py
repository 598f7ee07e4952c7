"""Logs of Inspect, `.eval` and `.json` (version 2 of the form).

An `.eval` file is a ZIP archive with `header.json` and `samples/<id>_epoch_<n>.json`. Newer versions compress
them by Zstandard, which `zipfile` does not read before Python 3.14.
"""

import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from dsl.errors import ArgumentError
from dsl.messages import ticked
from xp.imports.contract import (
    RULES,
    Answer,
    Form,
    Run,
    Scale,
    Text,
    content_of,
    filled,
    number,
    parsed,
    plain_text,
    question_of,
)

TOOL = "Inspect"
FILES = ("*.eval", "*.json")

ZSTANDARD = 93
WORDS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Scores in words, as Inspect's `value_to_float` counts them: correct, partially, incorrect, no answer. It
takes numbers, yes, no, true and false, too, these in any letters."""
_YES_OR_NO = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}

_ATTACHMENT = "attachment://"

_Content = Text | list[dict[str, Any]]


class Message(Form):
    """One turn."""

    role: str
    content: _Content
    source: str | None = None


class Choice(Form):
    """A model's answer."""

    message: Message
    stop_reason: str | None = None


class Output(Form):
    """Answers that a model gave to one question, mostly one."""

    choices: list[Choice] = []


class Score(Form):
    """Finding of one scorer."""

    value: Any
    explanation: Text | None = None


class SampleError(Form):
    """The failure of a sample."""

    message: Text = ""


class Sample(Form):
    """A question, its transcript and its scores."""

    NAMED = "a sample of Inspect"

    id: int | str
    epoch: int
    input: Text | list[Message]
    choices: list[Text] | None = None
    target: Text | list[Text] = ""
    messages: list[Message] = []
    output: Output = Output()
    scores: dict[str, Score] | None = None
    metadata: dict[str, Any] = {}
    error: SampleError | None = None
    attachments: dict[str, Text] = {}
    """Long texts, which stand apart."""

    def whole(self, text: str) -> str:
        """Return a text that may stand apart."""
        return (
            self.attachments.get(text.removeprefix(_ATTACHMENT), text)
            if text.startswith(_ATTACHMENT)
            else text
        )

    def text(self, content: _Content, left_out: Counter[str]) -> str | None:
        """Return the text of a message; null where it holds something else."""
        plain = plain_text(content, left_out)
        return None if plain is None else self.whole(plain)


class Scorer(Form):
    """A scorer of the task; one of another package has that before its name."""

    name: str


class Spec(Form):
    """The task and the model that were evaluated."""

    task: str
    model: str
    task_version: Any = None
    task_args: dict[str, Any] = {}
    created: str | None = None
    dataset: dict[str, Any] = {}
    config: dict[str, Any] = {}
    packages: dict[str, str] = {}
    scorers: list[Scorer] | None = None
    revision: dict[str, Any] | None = None


class Step(Form):
    """A solver."""

    solver: str


class Plan(Form):
    """Solvers, and settings of generation."""

    steps: list[Step] = []
    config: dict[str, Any] = {}


class Log(Form):
    """A log, or the header of one."""

    NAMED = "a log of Inspect, of version 2"

    version: Literal[2]
    status: str = "started"
    eval: Spec
    plan: Plan = Plan()
    samples: list[Sample] | None = None


def read(files: Sequence[Path]) -> Sequence[Run]:
    return [_run(path) for path in files]


def _run(path: Path) -> Run:
    log, samples = _zipped(path) if path.suffix == ".eval" else _json(path)
    left_out, scales = Counter[str](), dict[str, Scale]()
    answers: dict[str, Answer] = {}
    first: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda sample: sample.epoch):  # they come as they were finished
        if sample is not (one := first.setdefault(str(sample.id), sample)) and sample.epoch == one.epoch:
            raise ArgumentError(
                f"{path}: two samples of epoch {sample.epoch} have the id {ticked(str(sample.id))}, and it is"
                " not known which question is meant. Give each its own in the task's data set"
            )
        if str(sample.id) in answers:
            left_out["answers of further epochs"] += 1
        elif (answer := _answer(sample, left_out, scales)) is not None:
            answers[answer.item] = answer
    if not answers:
        raise ArgumentError(
            f"{path}: it holds no sample whose question is text; its status is `{log.status}`"
        )
    if log.status != "success":
        left_out[f"log that is not whole: its status is `{log.status}`"] += 1
    return Run(
        source=path.name,
        task=log.eval.task,
        model=log.eval.model,
        language=str(log.eval.task_args.get("language", "")),
        variant=str(log.eval.task_args.get("method", "")),
        answers=tuple(answers.values()),
        version=log.eval.packages.get("inspect_ai", ""),
        settings=_settings(log),
        scales=scales,
        by_rule=frozenset(
            name
            for name in {name for answer in answers.values() for name in answer.scores}
            if _is_rule(name.split(" ")[0], log.eval)
        ),
        left_out=left_out,
    )


def _is_rule(scorer: str, about: Spec) -> bool:
    """Test whether a scorer is one of Inspect's own that decide by rule. A second of a name has a number."""
    known = {scorer, scorer.rstrip("0123456789")} & RULES
    named = known if about.scorers is None else {one.name for one in about.scorers}
    return any({name, f"inspect_ai/{name}"} & named for name in known)


def _json(path: Path) -> tuple[Log, Iterator[Sample]]:
    log = parsed(content_of(path), Log, str(path))
    return log, iter(log.samples or ())


def _zipped(path: Path) -> tuple[Log, Iterator[Sample]]:
    content = content_of(path)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        raise ArgumentError(
            f"{path}: not {Log.NAMED}: an `.eval` file is a ZIP archive, and this is none"
        ) from None
    members = {info.filename: info for info in archive.infolist()}  # of two of a name, the last counts
    header = members.get("header.json") or members.get("_journal/start.json")
    if header is None:
        raise ArgumentError(f"{path}: not {Log.NAMED}: the archive has no `header.json`")

    def unpacked(info: zipfile.ZipInfo) -> bytes:
        try:
            return _unpacked(archive, info, content)
        except (zipfile.BadZipFile, zlib.error, OSError, NotImplementedError) as error:
            raise ArgumentError(f"{path}: {info.filename}: cannot be unpacked: {error}") from error

    return parsed(unpacked(header), Log, f"{path}: {header.filename}"), (
        parsed(unpacked(info), Sample, f"{path}: {name}")
        for name, info in members.items()
        if name.startswith("samples/") and name.endswith(".json")
    )


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, content: bytes) -> bytes:
    if info.compress_type != ZSTANDARD:
        return archive.read(info)
    import pyarrow  # pyright: ignore[reportMissingTypeStubs]

    n_name, n_extra = struct.unpack_from("<HH", content, info.header_offset + 26)
    begin = info.header_offset + 30 + n_name + n_extra
    packed: Any = cast(Any, pyarrow).py_buffer(content[begin : begin + info.compress_size])
    with cast(Any, pyarrow).input_stream(packed, compression="zstd") as stream:
        unpacked: bytes = stream.read(info.file_size + 1)
    if zlib.crc32(unpacked) != info.CRC:
        raise zipfile.BadZipFile("its checksum is another")
    return unpacked


def _answer(sample: Sample, left_out: Counter[str], scales: dict[str, Scale]) -> Answer | None:
    asked = _asked(sample, left_out)
    if asked is None:
        left_out["questions with pictures or other files"] += 1
        return None
    response, of_answer = _response(sample, left_out)
    target = sample.target if isinstance(sample.target, list) else [sample.target]
    said = {scorer: sample.whole(score.explanation or "") for scorer, score in (sample.scores or {}).items()}
    return Answer(
        item=str(sample.id),
        instruction=asked[0],
        response=response,
        scores=_scores(sample, left_out, scales),
        answers=tuple(sample.whole(one) for one in target if one),
        of_question=asked[1],
        of_answer=of_answer
        | filled(explanations={scorer: text for scorer, text in said.items() if text not in ("", response)}),
    )


def _asked(sample: Sample, left_out: Counter[str]) -> tuple[str, dict[str, object]] | None:
    """Return the last turn before the first answer, as it was sent, and what else stood before it."""
    given = sample.input
    sent: list[Message] = []
    for message in sample.messages:
        if message.role == "assistant" and message.source != "input":
            break
        sent.append(message)
    if not sent:
        sent = [Message(role="user", content=given)] if isinstance(given, str) else given
    turns = [
        (message.role, text)
        for message in sent
        if (text := sample.text(message.content, left_out)) is not None
    ]
    if not turns or len(turns) < len(sent):
        return None
    instruction, before = question_of(turns, left_out)
    own = sample.whole(given) if isinstance(given, str) else instruction
    return instruction, filled(
        input=own if own != instruction else None,
        choices=sample.choices,
        metadata=sample.metadata,
        messages=before,
    )


def _response(sample: Sample, left_out: Counter[str]) -> tuple[str | None, dict[str, object]]:
    choices = sample.output.choices
    left_out["further choices of an answer"] += max(len(choices) - 1, 0)
    if (
        sum(
            message.role in ("assistant", "tool") and message.source != "input" for message in sample.messages
        )
        > 1
    ):
        left_out["transcripts of several turns or with tools: the last answer alone is carried over"] += 1
    if sample.error is not None:
        left_out["answers that failed: they are missing, with their error beside them"] += 1
        return None, {"error": sample.whole(sample.error.message)}
    if not choices:
        return None, {}
    text = sample.text(choices[0].message.content, left_out)
    left_out["answers with pictures or other files: they are missing"] += text is None
    stop = choices[0].stop_reason
    return text, filled(stop_reason=None if stop == "stop" else stop)


def _scores(sample: Sample, left_out: Counter[str], scales: dict[str, Scale]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for scorer, score in (sample.scores or {}).items():
        value: object = score.value
        parts = cast("dict[str, object]", value) if isinstance(value, dict) else {"": value}
        for part, value in parts.items():
            name = f"{scorer} {part}".strip()
            in_words = isinstance(value, str) and (value in WORDS or value.lower() in _YES_OR_NO)
            if in_words or isinstance(value, bool):
                scales[name] = 0.0, 1.0
            found[name] = _in_words(value) if isinstance(value, str) else number(value)
            left_out[f"scores `{name}` that are no finite number"] += found[name] is None
    return found


def _in_words(value: str) -> float | None:
    """Return a score that is written as text; null where it is none."""
    if (score := WORDS.get(value, _YES_OR_NO.get(value.lower()))) is not None:
        return score
    try:
        return number(float(value))
    except ValueError:
        return None


def _settings(log: Log) -> dict[str, object]:
    about = log.eval
    return filled(
        task_version=about.task_version,
        task_args=about.task_args,
        dataset=about.dataset.get("location"),
        solvers=[step.solver for step in log.plan.steps],
        **log.plan.config,
        **{key: about.config.get(key) for key in ("epochs", "limit")},
        revision=(about.revision or {}).get("commit"),
        created=about.created,
    )

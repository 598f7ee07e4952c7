"""Samples of lm-evaluation-harness, as `lm_eval --log_samples` writes them (read from version 0.4 on).

Beside `<model>/samples_<task>_<date>.jsonl` lies `results_<date>.json` with the settings. A sample has a row
for each filter of its task. A task of log-likelihoods has no text: the answer is the likeliest choice.
"""

import ast
import json
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import ConfigDict, Field, TypeAdapter

from dsl.data.selectors import text_of
from dsl.data.turns import holds
from dsl.errors import ArgumentError, DataError
from dsl.messages import ticked
from xp.imports.contract import (
    RULES,
    Answer,
    Form,
    Run,
    Text,
    content_of,
    filled,
    lines_of,
    number,
    parsed,
    question_of,
)

TOOL = "lm-evaluation-harness"
FILES = ("samples_*.jsonl",)

_NO_LITERAL = (ValueError, SyntaxError, MemoryError, RecursionError)

_NAME = re.compile(r"samples_(?P<task>.+?)(?:_(?P<date>\d{4}-\d\d-\d\dT[\d.:\-]+))?\.jsonl")


class Turn(Form):
    """One message of a chat."""

    NAMED = "a chat"

    role: str
    content: Text


_CHAT: TypeAdapter[list[Turn]] = TypeAdapter(Annotated[list[Turn], Field(min_length=1)])


class Sample(Form):
    """One row: a document, the requests that were made of it, and what came back."""

    NAMED = "a sample of lm-evaluation-harness"
    model_config = ConfigDict(extra="allow")  # scores stand under the names of their metrics

    doc_id: int | str
    doc: Any
    target: Any
    arguments: dict[str, dict[str, Any]] | list[list[Any]]
    """Prompt, and continuation or settings, of each request; in lists where an older version wrote them."""
    resps: list[list[Any]]
    """For each request its repeats: a text, or a log-likelihood and whether greedy decoding gives it."""
    filtered_resps: Any = None
    filter: str = "none"
    metrics: list[str] | None = None

    def requests(self) -> list[tuple[str | list[Turn], object]]:
        """Return (prompt, continuation or settings) of each request; a chat's prompt is its turns."""
        given = self.arguments
        pairs = [list(one.values()) for one in given.values()] if isinstance(given, dict) else given
        return [(_prompt(one[0]), (*one, None)[1]) for one in pairs if one]

    def accepted(self, choices: Sequence[str], left_out: Counter[str]) -> tuple[str, ...]:
        """Return the targets, of which several are written as Python writes a list; numbers name choices."""
        given: object = self.target
        if isinstance(given, str) and given.startswith("["):
            with warnings.catch_warnings(action="ignore"), suppress(*_NO_LITERAL):
                written: object = ast.literal_eval(given)
                if holds(written, int if choices else str):
                    given = written
        listed = cast("list[object]", given) if isinstance(given, list) else [given]
        texts = _texts(listed, left_out)
        numbered = {str(i): choice for i, choice in enumerate(choices)}
        return tuple(numbered.get(text, text) for text in texts)

    def scores(self, left_out: Counter[str]) -> dict[str, float | None]:
        """Return score by metric, and by filter where it has a name."""
        extra = self.model_extra or {}
        names = self.metrics or [name for name in extra if number(extra[name]) is not None]
        scores = {name: number(extra.get(name)) for name in names}
        for name in (name for name, score in scores.items() if score is None):
            left_out[f"scores `{name}` that are no finite number"] += 1
        return {name if self.filter == "none" else f"{name} {self.filter}": s for name, s in scores.items()}


def _texts(targets: Iterable[object], left_out: Counter[str]) -> Iterator[str]:
    """Targets as texts, by the rules of a data file; others are counted."""
    for target in targets:
        try:
            text = text_of(target, "target", "", in_list=True)
        except DataError:
            text = None
        if text is None:
            left_out["targets that are no text"] += 1
        elif text.strip():
            yield text


class Results(Form):
    """Settings of a run."""

    NAMED = "results of lm-evaluation-harness"

    results: dict[str, Any]
    config: dict[str, Any] = {}
    configs: dict[str, dict[str, Any]] = {}
    versions: dict[str, Any] = {}
    higher_is_better: dict[str, dict[str, bool | None]] = {}
    model_name: str | None = None
    lm_eval_version: str | None = None
    git_hash: str | None = None
    system_instruction: str | None = None
    fewshot_as_multiturn: bool | None = None
    chat_template_sha: str | None = None


def read(files: Sequence[Path]) -> Sequence[Run]:
    return [_run(path) for path in files]


def _run(path: Path) -> Run:
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise ArgumentError(
            f"{path}: samples of lm-evaluation-harness are called `samples_<task>_<date>.jsonl`."
            " `lm_eval --log_samples --output_path DIR` writes them"
        )
    task, left_out = named["task"], Counter[str]()
    answers: dict[str, Answer] = {}
    first: dict[str, Sample] = {}
    for at, sample in lines_of(path, Sample):
        item, scores = str(sample.doc_id), sample.scores(left_out)
        if first.setdefault(item, sample).doc != sample.doc:
            raise ArgumentError(
                f"{at}: another document than before has the `doc_id` {ticked(item)}: these are samples of"
                " two versions of the task in one file. Import them apart"
            )
        if item not in answers:
            answers[item] = replace(_answer(sample, left_out, at), scores=scores)
        elif answers[item].scores.keys() & scores.keys():
            left_out["further rows of a document under one filter"] += 1
        elif first[item].resps != sample.resps:
            left_out["scores behind another filter that are of another reply"] += len(scores)
        else:  # the same answer behind another filter
            answers[item] = replace(answers[item], scores={**answers[item].scores, **scores})
    if not answers:
        raise ArgumentError(f"{path}: it holds no sample")
    beside = path.with_name(f"results_{named['date']}.json")
    if beside.is_file():
        about = parsed(content_of(beside), Results, str(beside))
    else:
        about = Results(results={})
        left_out[
            f"file of settings: {beside.name} is not beside the samples, and the folder names the model"
        ] += 1
    size = about.config.get("model_num_parameters")
    names = {name for answer in answers.values() for name in answer.scores}
    return Run(
        source=path.name,
        task=task,
        model=about.model_name or path.resolve().parent.name.replace("__", "/"),
        answers=tuple(answers.values()),
        version=about.lm_eval_version or "",
        settings=_settings(about, task),
        parameters=size if isinstance(size, int) and size > 0 else None,
        lower_is_better=frozenset(
            name for name, is_higher in about.higher_is_better.get(task, {}).items() if is_higher is False
        ),
        by_rule=frozenset(name for name in names if name.split(" ")[0] in RULES),
        left_out=left_out,
    )


def _answer(sample: Sample, left_out: Counter[str], at: str) -> Answer:
    requests = sample.requests()
    replies: list[Any] = [repeats[0] for repeats in sample.resps if repeats]
    if not requests or len(requests) != len(replies):
        raise ArgumentError(
            f"{at}: not {Sample.NAMED}: {len(requests)} `arguments`, and {len(replies)} `resps` with a reply"
        )
    if any(len(reply) > 1 for reply in sample.resps):
        left_out["answers of further repeats"] += 1
    further: dict[str, object] = {}
    before: list[dict[str, str]] = []
    choices: list[str] = []
    if replies[0] is None or isinstance(replies[0], str):
        prompt, response = requests[0][0], replies[0]
        left_out["replies that are null: these answers are missing"] += response is None
        if isinstance(prompt, list):
            question, before = question_of([(turn.role, turn.content) for turn in prompt], left_out)
        else:
            question = prompt
        further = filled(filtered=None if sample.filtered_resps == [response] else sample.filtered_resps)
    elif all(isinstance(reply, list) and len(cast("list[Any]", reply)) == 2 for reply in replies):
        question, choices = _choices([(str(prompt), end) for prompt, end in requests])
        likelihoods = [float(reply[0]) for reply in replies[: len(choices)]]
        response = _chosen(choices, likelihoods, replies)
        left_out["log-likelihoods that are no number: these answers are missing"] += any(
            map(math.isnan, likelihoods)
        )
        further = {"log_likelihoods": [[c, value] for c, value in zip(choices, likelihoods, strict=True)]}
    else:
        raise ArgumentError(
            f"{at}: log-likelihoods of whole texts are no answers: there is nothing to import"
        )
    return Answer(
        item=str(sample.doc_id),
        instruction=question,
        response=response,
        scores={},
        answers=sample.accepted(choices if len(choices) > 1 else (), left_out),
        of_question={"doc": sample.doc, **filled(messages=before)},
        of_answer=further,
    )


def _prompt(given: object) -> str | list[Turn]:
    """Return a text, or the turns of a chat, which is a list of them or of their JSON."""
    if isinstance(given, str):
        return given
    turns: Any = given
    with suppress(ValueError, RecursionError):
        if isinstance(turns, list) and turns and isinstance(turns[0], str):
            turns = json.loads(turns[0])
        return _CHAT.validate_python(turns)
    return json.dumps(given, ensure_ascii=False)


def _choices(requests: Sequence[tuple[str, object]]) -> tuple[str, list[str]]:
    """Return the question and its choices. They may stand in the prompts; requests without one come last."""
    asked = [(prompt, str(end)) for prompt, end in requests if prompt or not requests[0][0]]
    question = os.path.commonprefix([prompt for prompt, _ in asked])  # noqa: RUF071 of characters
    if any(prompt != question for prompt, _ in asked):  # a choice begins with a whole word
        question = question[: question.rfind(" ") + 1]
    return question, [(prompt + end)[len(question) :].strip() for prompt, end in asked]


def _chosen(choices: Sequence[str], likelihoods: Sequence[float], replies: Sequence[Any]) -> str | None:
    """Return the choice of the highest log-likelihood; a single one where greedy decoding gives it.

    Null where a log-likelihood is no number.
    """
    if any(map(math.isnan, likelihoods)):
        return None
    if len(choices) > 1:
        return choices[likelihoods.index(max(likelihoods))]
    return choices[0] if str(replies[0][1]) == "True" else None


def _settings(about: Results, task: str) -> dict[str, object]:
    config, of_task = about.config, about.configs.get(task, {})
    keys = ("model_args", "model_dtype", "model_revision", "model_sha", "limit", "fewshot_seed")
    of_tasks = (
        "dataset_path",
        "dataset_name",
        "test_split",
        "num_fewshot",
        "output_type",
        "generation_kwargs",
    )
    return filled(
        backend=config.get("model"),
        **{key: config.get(key) for key in keys},
        **{key: of_task.get(key) for key in of_tasks},
        description=of_task.get("description"),
        task_version=about.versions.get(task),
        system_instruction=about.system_instruction,
        fewshot_as_multiturn=about.fewshot_as_multiturn,
        chat_template_sha=about.chat_template_sha,
        git_hash=about.git_hash,
    )

"""Records of Every Eval Ever: `<uuid>.json` with aggregates, and `<uuid>_samples.jsonl` with their items.

The items lie beside the record. A record without items has no answers that could be imported.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dsl.errors import ArgumentError
from xp.imports.contract import (
    RULES,
    Answer,
    Form,
    Run,
    Scale,
    Text,
    content_of,
    filled,
    lines_of,
    number,
    parsed,
)

TOOL = "Every Eval Ever"
FILES = ("*.json",)

_Texts = list[Text] | None


class SourceData(Form):
    """The data set of a result."""

    dataset_name: str


class Metric(Form):
    """The metric of a result, with the lowest and the highest score there is."""

    metric_id: str | None = None
    metric_name: str | None = None
    llm_scoring: Any = None
    """Set where a model gave the score."""
    lower_is_better: bool = False
    min_score: Any = None
    max_score: Any = None

    def is_rule(self) -> bool:
        """Test whether it is known to be computed by rule."""
        return self.llm_scoring is None and not {self.metric_id, self.metric_name}.isdisjoint(RULES)


class Uncertainty(Form):
    """The spread of an aggregate score."""

    num_samples: int | None = None


class Details(Form):
    """An aggregate score: how many items it is over, and how many have none."""

    uncertainty: Uncertainty | None = None
    details: dict[str, Any] | None = None

    def n_unscored(self) -> int:
        """Return the number of verdicts that have no row of items, as our own export counts them."""
        n = str((self.details or {}).get("n_unscored", ""))
        return int(n) if n.isdecimal() else 0


class Named(Form):
    """A result, or an item's score of one."""

    evaluation_name: str
    evaluation_result_id: str | None = None

    @property
    def key(self) -> str:
        """Return what joins a score with its result."""
        return self.evaluation_result_id or self.evaluation_name

    @property
    def score_name(self) -> str:
        return self.key.replace(":", " ")


class Result(Named):
    """One aggregate score."""

    source_data: SourceData
    metric_config: Metric
    score_details: Details = Details()
    generation_config: dict[str, dict[str, Any] | None] | None = None


class Model(Form):
    """The model that was evaluated."""

    id: str
    inference_platform: str | None = None
    inference_engine: dict[str, Any] | None = None
    additional_details: dict[str, Any] | None = None


class Items(Form):
    """The place of a record's items."""

    file_path: str
    hash_algorithm: str = "sha256"
    checksum: str | None = None


class Record(Form):
    """An aggregate."""

    NAMED = "a record of Every Eval Ever"

    schema_version: str
    evaluation_id: str
    model_info: Model
    evaluation_results: list[Result]
    eval_library: dict[str, Any] = {}
    source_metadata: dict[str, Any] = {}
    detailed_evaluation_results: Items | None = None


class Input(Form):
    """A question."""

    raw: Text
    formatted: Text | None = None
    reference: _Texts = None
    choices: _Texts = None


class Output(Form):
    """Texts of an answer, mostly one."""

    raw: _Texts = None


class Turn(Form):
    """One message of a transcript."""

    role: str
    content: Text | None = None


class Evaluation(Form):
    """The score of an item."""

    score: float


class Item(Named):
    """One answer with one score of it."""

    NAMED = "an item of Every Eval Ever"

    sample_id: str | int
    interaction_type: str = "single_turn"
    input: Input
    output: Output | None = None
    messages: list[Turn] | None = None
    evaluation: Evaluation
    error: Text | None = None
    metadata: dict[str, Any] | None = None

    def response(self) -> str | None:
        """Return the answer, of a transcript the last one."""
        if self.output is not None:
            return next(iter(self.output.raw or ()), None)
        said = [turn.content for turn in self.messages or () if turn.role == "assistant"]
        return said[-1] if said else None


def read(files: Sequence[Path]) -> Sequence[Run]:
    return [run for path in files for run in _runs(path)]


def _runs(path: Path) -> Iterator[Run]:
    if path.name.endswith("_samples.jsonl"):
        raise ArgumentError(
            f"{path}: these are the items of a record. Name the record itself:"
            f" {path.name.removesuffix('_samples.jsonl')}.json"
        )
    record = parsed(content_of(path), Record, str(path))
    results = {result.key: result for result in record.evaluation_results}
    left_out = Counter[str]()
    items: dict[str, list[Item]] = defaultdict(list)
    for item in _items(path, record):
        if item.interaction_type != "single_turn":
            left_out[
                "transcripts of several turns: the first question and the last answer are carried over"
            ] += 1
        if item.key in results:
            items[item.key].append(item)
        else:
            left_out["scores of no result that the record names"] += 1
    tasks: dict[str, list[Result]] = defaultdict(list)
    for result in results.values():
        left_out["aggregate scores without items"] += not items[result.key]
        left_out["verdicts without a score, which have no row of items"] += result.score_details.n_unscored()
        n_lacking = (result.score_details.uncertainty or Uncertainty()).num_samples or 0
        left_out["items that an aggregate score is over and that have no row"] += (
            max(n_lacking - len(items[result.key]), 0) if items[result.key] else 0
        )
        if items[result.key]:
            tasks[result.source_data.dataset_name].append(result)
    if not tasks:
        raise ArgumentError(f"{path}: none of its items is of a result that it names")
    for task, of_task in tasks.items():
        details = (of_task[0].generation_config or {}).get("additional_details") or {}
        variants = _variants(of_task, items)
        for of_variant in variants:
            yield Run(
                source=path.name,
                task=task,
                model=record.model_info.id,
                answers=_answers(of_variant, items, left_out),
                language=str(details.get("language", "")),
                variant=of_variant[0].score_name if len(variants) > 1 else str(details.get("method", "")),
                version=record.schema_version,
                settings=_settings(record, of_variant[0]),
                parameters=_size(record.model_info),
                scales=dict(_scales(of_variant)),
                lower_is_better=frozenset(
                    r.score_name for r in of_variant if r.metric_config.lower_is_better
                ),
                by_rule=frozenset(r.score_name for r in of_variant if r.metric_config.is_rule()),
                left_out=left_out,
            )
            left_out = Counter[str]()


def _items(path: Path, record: Record) -> Iterator[Item]:
    about = record.detailed_evaluation_results
    if about is None:
        raise ArgumentError(
            f"{path}: it holds {len(record.evaluation_results)} aggregate scores and names no file of items:"
            " there is no answer to import"
        )
    beside = path.with_name(Path(about.file_path).name)
    if about.checksum is not None and about.hash_algorithm in ("sha256", "md5"):
        found = hashlib.new(about.hash_algorithm, content_of(beside), usedforsecurity=False).hexdigest()
        if found != about.checksum:
            raise ArgumentError(f"{beside}: not the file that {path.name} names: its checksum is another")
    yield from (item for _, item in lines_of(beside, Item))


def _variants(results: Sequence[Result], items: Mapping[str, Sequence[Item]]) -> list[list[Result]]:
    """Return results about equal texts together: one may score another text for a question than the next."""
    found: list[tuple[dict[str, str | None], list[Result]]] = []
    for result in results:
        own = {str(item.sample_id): item.response() for item in items[result.key]}
        for texts, alike in found:
            if all(texts.get(item, text) == text for item, text in own.items()):
                texts.update(own)
                alike.append(result)
                break
        else:
            found.append((own, [result]))
    return [alike for _, alike in found]


def _answers(
    results: Sequence[Result], items: Mapping[str, Sequence[Item]], left_out: Counter[str]
) -> tuple[Answer, ...]:
    found: dict[str, Answer] = {}
    for result in results:
        name = result.score_name
        for item in items[result.key]:
            answer = found.get(str(item.sample_id)) or _answer(item, left_out)
            if name in answer.scores:
                left_out["scores of further repeats"] += 1
            else:
                score = number(item.evaluation.score)
                left_out[f"scores `{name}` that are no finite number"] += score is None
                found[answer.item] = replace(answer, scores={**answer.scores, name: score})
    return tuple(found.values())


def _answer(item: Item, left_out: Counter[str]) -> Answer:
    if item.output is not None:
        left_out["further texts of an answer"] += max(len(item.output.raw or ()) - 1, 0)
    return Answer(
        item=str(item.sample_id),
        instruction=item.input.raw,
        response=item.response(),
        scores={},
        answers=tuple(item.input.reference or ()),
        of_question=filled(choices=item.input.choices),
        of_answer=filled(error=item.error, prompt_sent=item.input.formatted, metadata=item.metadata),
    )


def _scales(results: Sequence[Result]) -> Iterator[tuple[str, Scale]]:
    for result in results:
        low, high = number(result.metric_config.min_score), number(result.metric_config.max_score)
        if low is not None and high is not None and low < high:
            yield result.score_name, (low, high)


def _size(model: Model) -> int | None:
    size = str((model.additional_details or {}).get("num_parameters", ""))
    return int(size) if size.isdecimal() and int(size) > 0 else None


def _settings(record: Record, result: Result) -> dict[str, object]:
    library, model, config = record.eval_library, record.model_info, result.generation_config or {}
    return filled(
        eval_library=" ".join(str(library[key]) for key in ("name", "version") if library.get(key)),
        source=record.source_metadata.get("source_organization_name"),
        inference_engine=(model.inference_engine or {}).get("name"),
        inference_platform=model.inference_platform,
        evaluation_id=record.evaluation_id,
    ) | filled(
        **{
            key: value
            for part in (
                model.additional_details,
                config.get("generation_args"),
                config.get("additional_details"),
            )
            for key, value in (part or {}).items()
            if key != "num_parameters"
        }
    )

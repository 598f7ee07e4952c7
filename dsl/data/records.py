"""Records that cross between steps: runners write them as JSON lines, the warehouse reads them.

    data, pairs      examples.jsonl      Example
    sft, dpo, kto, orpo, simpo
                     metrics.jsonl       TrainMetric;  facts.json  TrainingFacts
    select           trials.jsonl        Trial
    reference_logps  ref_logps.jsonl     RefLogps
    generate         completions.jsonl   Completion
    judge            verdicts.jsonl      Verdict
    any              outcome.json        Outcome (written last: a directory without it is not a result)

Beside the steps lie `runs/<run_id>.json` (Run) and what people said of answers,
`labels/<experiment>/<judge>.jsonl` (Label).

A row is a value: it carries the hash of everything that made it (`row_key`), so that a changed step can take
it over.
"""

from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from pydantic import Field, ValidationError

from dsl.errors import DataError
from dsl.messages import listed
from dsl.values import Language, Sha256, StepId, TemplateArguments, Value

ChatRole = Literal["system", "user", "assistant"]


def _is_one(weight: int) -> bool:
    return weight == 1


class Message(Value):
    """One turn of a conversation, or the system message before it."""

    role: ChatRole
    content: str
    weight: Literal[0, 1] = Field(default=1, exclude_if=_is_one)
    """0 keeps an answer out of the loss, as in the rows of fine-tuning services."""


class Example(Value):
    """An item in one language."""

    item: str
    """The source example's id, the same in every language."""
    language: Language
    turns: tuple[Message, ...] = ()
    """The conversation before the question, a system message first where there is one. Where questions are
    asked in turn, those before this one alone: the answers are the model's own."""
    instruction: str
    """The question, `input` included: the last thing that the user says."""
    response: str | None = None
    """The answer to learn from, in training data."""
    chosen: str | None = None
    rejected: str | None = None
    answers: tuple[str, ...] = ()
    """Accepted answers, for judges that check them."""
    reference: str | None = None
    """A reference answer that a judge may read."""
    category: str | None = None
    extra: dict[str, str] = {}
    """Further columns the spec named, as text."""


class Prompt(Value):
    """A model's input: plain text to continue, or chat messages to be put through a chat template."""

    text: str | None = None
    messages: tuple[tuple[ChatRole, str], ...] | None = None
    stop_strings: tuple[str, ...] = ()
    chat_template_kwargs: TemplateArguments = ()
    """Arguments of the chat template."""
    ends_at_fence: bool = False
    """The answer stands in a fence that the text left open, and ends where that is closed."""
    json_schema: str | None = None
    """A JSON Schema that the answer is to follow, where a server can hold its model to one."""


class Provenance(Value):
    """Origin of a row: where and with what it was made. It changes no identity, and reused rows keep it."""

    code: str = ""
    """Fingerprint of the code that made it (`dsl.data.code_fingerprint`)."""
    device: str | None = None
    """`cuda` or `cpu`; null where no model was loaded here."""
    dtype: str | None = None
    """The number format of the computation, as torch names it. In half precision, tokens depend on the batch
    and on the device."""
    versions: dict[str, str] = {}
    """Versions of the libraries that computed it."""
    commit: str | None = None
    """The commit that the name on the hub stood for, where none was named."""
    system_fingerprint: str | None = None
    """A server's word on its version and configuration."""


FinishReason = Literal["eos", "stop", "length", "recorded", "missing", "error"]


class Completion(Value):
    """One answer of one model to one example."""

    row_key: Sha256
    """Hash of the weights (with the commit that their name stood for), the prompt as the engine was handed
    it, the decoding without its length limit, and the row's seed."""
    item: str
    language: Language
    turns: tuple[Message, ...] = ()
    """The conversation before the question, where it holds the model's own answers."""
    prompt: str
    """The text as sent, chat template applied."""
    text: str | None
    """The answer after cutting at the stop string and stripping the ends; null when there is none (see
    `error`)."""
    raw_text: str | None
    """Everything the model wrote."""
    finish_reason: FinishReason
    stop_string: str | None = None
    """The stop string, or the fence, that cut the answer."""
    error: str | None = None
    """The reason for no answer."""
    max_new_tokens: int
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    seconds: float | None = None
    """This row's share of its batch's wall time."""
    batch_size: int | None = None
    seed: int | None = None
    """Null when no chance entered."""
    engine: str
    model_served: str | None = None
    """The model name a server answered with."""
    n_faults: int = 0
    """Finished attempts at the step in which a server failed on this row for a reason that may pass."""
    provenance: Provenance | None = None


class Verdict(Value):
    """One judge's finding on one aspect of one answer or comparison: a score, or the reason there is none."""

    row_key: Sha256
    """Hash of the judge's settings for this aspect and of what it read."""
    judge: str = ""
    """The key of its settings in the step (`dsl.steps.steps.JudgeStep.judges`)."""
    item: str
    language: Language
    aspect: str
    against: str | None = None
    """The method whose answer this one was compared with."""
    score: float | None
    unscored_reason: str | None = None
    reason: str | None = None
    """The judge's reason for its score."""
    distribution: dict[str, float] | None = None
    """Probability of each level, where the judge gives one."""
    parts: dict[str, float] | None = None
    """Numbers that the score was made from, by name: each repeat, each order of a comparison, each
    instruction, each judge."""
    raw: str | None = None
    """The judge's own words."""
    n_prompt_tokens: int | None = None
    n_new_tokens: int | None = None
    seconds: float | None = None
    usd: float | None = None
    model_served: str | None = None
    n_faults: int = 0
    """As a completion's: here the judge's server failed."""
    provenance: Provenance | None = None
    """Null where a rule decided: the step's id has its code."""


class Look(Value):
    """State of a contrast after so many slices of its items: a line of a sequential_test step's
    `looks.jsonl`."""

    number: int
    """Slices so far; fewer than planned where the contrast was settled before."""
    of: int
    """Slices planned."""
    n: int
    """Items with a score on both sides."""
    n_unscored: int
    """Items that were asked and lack one."""
    estimate: float | None
    ci_low: float
    """Lower limit of the 95% confidence sequence."""
    ci_high: float
    e_value: float
    """Against the difference that the rule excludes; for a width, against none."""
    is_settled: bool


Draw = Literal["random", "disagreement"]
"""The way `xp sample` drew an answer: with all others to a random item, or since judges disagree on it."""


class Label(Value):
    """People's scores of one answer, given without knowing whose it was."""

    answer_id: str
    """The answer's hash, of the study, the item and the text."""
    aspect: str = "human"
    score: float
    comment: str | None = None
    scale_low: float | None = None
    scale_high: float | None = None
    """The scale they chose from, where that was said."""
    drawn: Draw | None = None
    """None where it was drawn in another way or that is not known."""


class RefLogps(Value):
    """A frozen model's log-probabilities of one preference pair, named as TRL names them."""

    row_key: Sha256
    """Hash of the weights, of how they are computed with, and of the pair's tokens."""
    item: str
    language: Language
    ref_chosen_logps: float
    """Log-probability of the chosen answer and its end, given the prompt: a sum over tokens, in nats."""
    ref_rejected_logps: float
    n_tokens: int
    """Tokens of both answers with the prompt before each."""
    provenance: Provenance | None = None


class TrainMetric(Value):
    """One number at one optimiser step, under the name TRL logs it (`loss`, `rewards/margins`, …)."""

    global_step: int
    name: str
    value: float


class TrainingFacts(Value):
    """Counts and measurements of a training run."""

    n_rows: int
    """Rows trained on, after sampling."""
    n_truncated: int
    """Rows longer than `max_length`."""
    n_border_merges: int
    """Rows where tokens of prompt and completion merge when tokenised together."""
    n_tokens: int
    n_trainable_parameters: int
    n_parameters: int
    share_moved: float | None = None
    """Training of all weights: the share that is another number afterwards, in the weights' `dtype`."""
    reference_model: str | None = None
    """DPO: which model the policy was held to, in words."""
    n_validation_rows: int | None = None
    """Rows that it was evaluated on; None without validation, as are the following."""
    metric_for_best_model: str | None = None
    best_metric: float | None = None
    """That metric at its best evaluation."""
    best_global_step: int | None = None
    """The optimiser step of that evaluation, whose weights are kept with `load_best_model_at_end`."""


class Trial(Value):
    """One training of several that differ in their settings, as it did on its validation rows."""

    trial_id: StepId
    varied: str
    """The values it was trained with: `training.learning_rate: 0.0001`."""
    metric_for_best_model: str
    best_metric: float
    best_global_step: int
    n_validation_rows: int
    is_chosen: bool


class Record(Value):
    """A small file of its own."""

    IF_LOST: ClassVar[str]
    """Advice about one that cannot be read."""


class WrittenFile(Value):
    """A file of a finished step, as it was written."""

    sha256: Sha256
    n_bytes: int
    n_rows: int | None = None
    """Number of JSON lines."""
    rows_sha256: Sha256 | None = None
    """Digest of JSON lines in any order, without the times and costs of making them: equal where equal rows
    were made again."""


class Outcome(Record):
    """Result of a finished step: recorded beside its files, never part of its identity."""

    IF_LOST = "`xp apply` makes the step again"

    step_id: StepId
    seconds: float
    n_rows: int = 0
    n_reused: int = 0
    """Rows reused from other steps or from an earlier attempt."""
    n_open: int = 0
    """Rows on which a server failed for a reason that may pass, and which the next apply asks for again."""
    peak_memory_bytes: int | None = None
    start_seconds: float = 0.0
    """Seconds of the total that went into starting the process and importing libraries, which a worker does
    once."""
    load_seconds: float = 0.0
    """Seconds of the total that went into loading the model."""
    code: str = ""
    """Fingerprint of the code that made it; reused rows have their own."""
    n_of_other_code: int = 0
    """Reused rows that other code made; of a training, optimiser steps."""
    versions: dict[str, str] = Field(default_factory=dict)
    facts: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """Further findings of the runner (device, dtype, hits of the shared prefix, TrainingFacts, …)."""
    files: dict[str, WrittenFile] = Field(default_factory=dict)
    """Each file of the result by its path in the step's folder; none where an older version wrote it."""
    inputs: dict[StepId, Sha256] = Field(default_factory=dict)
    """Input step -> digest of what it held when this step was made."""


class Run(Record):
    """One attempt at a step: `.xp/runs/<run_id>.json`, written when the attempt ends, however it ends."""

    IF_LOST = "It records one attempt at a step and no result: delete it"

    run_id: str
    step_id: StepId
    experiment: str
    started_at: str
    """ISO 8601, UTC."""
    seconds: float
    status: Literal["done", "failed", "stopped", "interrupted"]
    """`stopped`: the budget had no room for the rest, or requests waited at a provider."""
    error: str | None = None
    host: str
    pid: int | None = None
    """The worker's process."""


class BegunRun(Run):
    """An attempt at work: `.xp/runs/<run_id>.begun`, gone when it ends."""

    apply: str = ""
    """Name of the apply that records its end."""


class RunProgress(Record):
    """Rows of an attempt so far: `.xp/runs/<run_id>.progress`, gone when the attempt ends."""

    IF_LOST = "It only shows how far an attempt is: delete it"

    done: int
    total: int
    n_first: int
    """Rows from which on the pace is counted: those that were there at the first sign of progress and the
    first new ones, before which the model was loaded."""
    seconds: float
    """Time since they were there."""


_Record = TypeVar("_Record", bound=Record)


def read_record(path: Path, kind: type[_Record]) -> _Record:
    """Read a small file. Raises DataError, with what to do, where it cannot be read as what it should be."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        why = str(error.strerror)
    except ValidationError as error:
        why = why_invalid(error)
    raise DataError(f"{path}: cannot be read as {kind.__name__}: {why}. {kind.IF_LOST}")


def why_invalid(error: ValidationError) -> str:
    """Say in short why something is no record: not JSON, or with missing, unknown or invalid fields."""
    fields: dict[str, list[str]] = {"lacks": [], "has unknown": [], "has invalid": []}
    for details in error.errors(include_url=False, include_context=False, include_input=False):
        if not details["loc"]:
            return "it is no JSON object" if details["type"] == "model_type" else "it is no whole JSON"
        verb = {"missing": "lacks", "extra_forbidden": "has unknown"}.get(details["type"], "has invalid")
        fields[verb].append(".".join(map(str, details["loc"])))
    return "it " + ", ".join(f"{verb} {listed(names, 3)}" for verb, names in fields.items() if names)

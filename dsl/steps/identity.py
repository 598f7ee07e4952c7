"""Ids: `<kind>-` and the first 16 hex digits of the SHA-256 of a step's canonical JSON.

Canonical JSON holds the kind and every field, defaults too, with sorted keys: order, text and comments of a
spec do not count. To count a field too many costs a re-run; one too few costs a wrong table, so everything
counts but the short list below.

Code counts, too. Data steps, pairs, recorded answers and judges that decide by rule are cheap to make again,
so the fingerprint of what computes them is part of their id (`counted_code`). Training, generation and judges
that ask a model are not: they have a `VERSION`, which is raised when the same settings would now give other
results, and tests with frozen results ask for that.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from dsl.data.code_fingerprint import fingerprint
from dsl.errors import DataError
from dsl.values import StepId, Value

if TYPE_CHECKING:  # steps are made of the judges' settings, whose files make row keys with this module
    from dsl.judges.contract import JudgeSettings
    from dsl.steps.steps import Step

NOT_COUNTED: Mapping[str, frozenset[str]] = {
    # where something lies; its content is counted through `sha256`
    "FileSource": frozenset({"path", "files", "url"}),
    "PromptText": frozenset({"path"}),
    "RubricFile": frozenset({"file", "levels"}),
    # the content of a judge's file counts through its `source`; what scores mean and whose they are is no
    # part of them
    "recorded.Settings": frozenset({"verdicts", "score_range", "people", "rule"}),
    # how fast, never what
    "Weights": frozenset({"path", "accept_license"}),
    "vllm.Settings": frozenset(
        {"path", "accept_license", "batch_size", "args", "base_url", "api_key_env", "lora_rank"}
    ),
    "llama_cpp.Settings": frozenset({"path", "accept_license", "batch_size", "args"}),
    "openai.Settings": frozenset(
        {"base_url_env", "api_key_env", "max_concurrency", "timeout", "max_retries"}
        | {"usd_per_million_prompt_tokens", "usd_per_million_new_tokens", "batch"}
    ),
    "SystemOne": frozenset(
        {
            "base_url_env",
            "api_key_env",
            "max_concurrency",
            "timeout",
            "max_retries",
            "usd_per_million_prompt_tokens",
        },
    ),
    "Training": frozenset({"save_steps", "report_to"}),
    "StopWhen": frozenset({"contrast"}),
}
"""Class (a plugin's `Settings` by its module) -> fields that cannot change a result."""


def _of_weights(fields: Mapping[str, object]) -> frozenset[str]:
    """Greedy tokens in float32 do not depend on the batch; in half precision they do."""
    return frozenset({"batch_size"} if fields["dtype"] == "float32" else ())


def _of_folder(fields: Mapping[str, object]) -> frozenset[str]:
    """The content of a data set's folder counts, not its place."""
    return frozenset(() if fields["sha256"] is None else {"hub"})


def _of_server(fields: Mapping[str, object]) -> frozenset[str]:
    """With a named revision it does not matter which server serves it."""
    return frozenset(() if fields["revision"] is None else {"base_url", "server"})


NOT_COUNTED_WHERE: Mapping[str, Callable[[Mapping[str, object]], frozenset[str]]] = {
    "HubSource": _of_folder,
    "Weights": _of_weights,
    "openai.Settings": _of_server,
    "SystemOne": _of_server,
}
"""Class -> fields that, beside others that it has, cannot change a result."""

COUNTED_WHEN_SET: Mapping[str, frozenset[str]] = {
    "FileSource": frozenset({"delimiter", "quoting", "field", "where"}),
    "HubSource": frozenset({"where", "sha256"}),
    "Columns": frozenset({"messages", "turns", "system"}),
    "DataStep": frozenset({"turn", "references"}),
    "GenerateStep": frozenset({"after", "items", "slices", "replicate"}),
    "JudgeStep": frozenset({"replicate"}),
    "rubric.Settings": frozenset({"aspects_per_request"}),
    "Adapter": frozenset(
        {"use_rslora", "use_dora", "modules_to_save", "ensure_weight_tying", "quantization"},
    ),
    "Training": frozenset(
        {"assistant_only_loss", "eval_steps", "load_best_model_at_end", "metric_for_best_model"}
        | {"early_stopping_patience"}
    ),
    "SftStep": frozenset({"validation"}),
    "DpoStep": frozenset({"validation"}),
    "ReferenceLogpsStep": frozenset({"validation"}),
}
"""Class -> fields that an earlier version did not have. One that is left at its default does not count: what
was made without it keeps its id."""

N_DIGITS = 16
"""Digits of an id's hash: among a million steps, two share an id with a chance of 3 in 100 million."""

# one encoder: `json.dumps` would make a new one for each value
_encode = json.JSONEncoder(ensure_ascii=False).encode
_CONSTANTS = (None, False, True, ())
"""Values of which there is one each."""


class Coded(Protocol):
    """A value that code is part of."""

    @property
    def counted_code(self) -> tuple[str, ...]:
        """The modules whose fingerprint counts."""
        ...


class Versioned(Protocol):
    """A class of values whose results have a version."""

    VERSION: int


class Canonical:
    """Writer of canonical JSON. Values met before are not written again: a plan's steps share most parts."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[object, str]] = {id(one): (one, _encode(one)) for one in _CONSTANTS}
        self._judge_keys: dict[int, str] = {}
        self._named: dict[str, str] = {}

    def text(self, value: object) -> str:
        """Canonical JSON of a value, a step, or plain data."""
        if isinstance(value, str):
            return encode_basestring(value)
        if (known := self._known.get(id(value))) is not None:
            return known[1]
        if type(value) is int:
            return str(value)
        if isinstance(value, (tuple, list)):
            return "[" + ",".join([self.text(one) for one in cast("Sequence[object]", value)]) + "]"
        if isinstance(value, dict):
            pairs = sorted(cast("dict[str, object]", value).items())
            return (
                "{"
                + ",".join([f"{encode_basestring_ascii(key)}:{self.text(one)}" for key, one in pairs])
                + "}"
            )
        if isinstance(value, Value):  # last, since it takes long to say of others that they are none
            return self._kept(value, self._object(value))
        return _encode(value)

    def _part(self, value: object) -> str:
        """Canonical JSON of a value's field, which is kept, as nothing changes a value."""
        if type(value) is int:
            return str(value)
        return self._kept(value, self.text(value)) if value else self.text(value)

    def _kept(self, value: object, text: str) -> str:
        self._known[id(value)] = (value, text)  # with the value, so its id stays its own
        return text

    def step_id(self, step: "Step") -> StepId:
        """The step's id. Raises DataError where another step has it."""
        return self.name(step.kind, self._object(step))

    def name(self, kind: str, text: str) -> str:
        """`<kind>-` and the beginning of a text's SHA-256.

        Raises:
            DataError: another text was given the same name.
        """
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        name = f"{kind}-{sha256[:N_DIGITS]}"
        if self._named.setdefault(name, sha256) != sha256:
            raise DataError(
                f"two different things of this study share the name {name}, by chance. Change any setting of"
                " one of them"
            )
        return name

    def judge_key(self, judge: "JudgeSettings") -> str:
        """The name of a judge in its step. Raises DataError as `name`."""
        text = self.text(judge)  # which keeps the judge, so that its id stays its own
        if (key := self._judge_keys.get(id(judge))) is None:
            key = self._judge_keys[id(judge)] = self.name(judge.judge, text)
        return key

    def _object(self, value: Value) -> str:
        counting, known = _counting(type(value)), self._known
        fields = value.__dict__  # which pydantic keeps them in: half the time of `getattr`
        pairs = [
            # most are known, and a call for each takes as long as all else
            begin
            + (
                encode_basestring(one)
                if type(one := fields[name]) is str
                else found[1]
                if (found := known.get(id(one)))
                else self._part(one)
            )
            for begin, name in counting.of(fields)
        ]
        if counting.versioned is not None:
            pairs.append(f'"VERSION":{counting.versioned.VERSION}')
        if counting.has_code and (modules := cast("Coded", value).counted_code):
            pairs.append(f'"code":"{fingerprint(*modules)}"')
        return "{" + ",".join(pairs) + "}"


def class_name(cls: type[Value]) -> str:
    """Return a class's name in `NOT_COUNTED`."""
    return (
        f"{cls.__module__.rsplit('.', 1)[-1]}.{cls.__name__}" if cls.__name__ == "Settings" else cls.__name__
    )


def counted_fields(value: Value) -> Sequence[str]:
    """Return the names of a value's fields that its steps' ids cover, sorted."""
    return tuple(name for _, name in _counting(type(value)).of(value.__dict__))


_ALWAYS = object()
"""Default of a field that counts whatever it holds: equal to nothing."""


class _Counting(NamedTuple):
    """Facts of a class, by which its values are written."""

    fields: Sequence[tuple[str, str, object]]
    """Each field as its object's text begins it, its name, and what it holds where it does not count."""
    not_counted_where: Callable[[Mapping[str, object]], frozenset[str]] | None
    versioned: "Versioned | None"
    """The class, where its results have a version."""
    has_code: bool

    def of(self, fields: Mapping[str, object]) -> Sequence[tuple[str, str]]:
        """Return those of a value's fields that count, each as its text begins and by its name."""
        counted = [
            (begin, name) for begin, name, unset in self.fields if unset is _ALWAYS or fields[name] != unset
        ]
        if self.not_counted_where is None:
            return counted
        left_out = self.not_counted_where(fields)
        return [one for one in counted if one[1] not in left_out]


@cache
def _counting(cls: type[Value]) -> _Counting:
    named, fields = class_name(cls), cls.model_fields
    new, left_out = COUNTED_WHEN_SET.get(named, ()), NOT_COUNTED.get(named, ())
    return _Counting(
        [
            (
                f'"{name}":',
                name,
                fields[name].get_default(call_default_factory=True) if name in new else _ALWAYS,
            )
            for name in sorted(fields)
            if name not in left_out
        ],
        NOT_COUNTED_WHERE.get(named),
        cast("Versioned", cls) if isinstance(getattr(cls, "VERSION", None), int) else None,
        hasattr(cls, "counted_code"),
    )


def step_id(step: "Step") -> StepId:
    """The id of one step."""
    return Canonical().step_id(step)


def judge_key(judge: "JudgeSettings") -> str:
    """The key of one judge's settings in its step."""
    return Canonical().judge_key(judge)


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(Canonical().text(value).encode()).hexdigest()

"""Ids: `<kind>-` and the first 12 hex digits of the SHA-256 of a step's canonical JSON.

Canonical JSON holds the kind, the class's `VERSION` and every field, defaults too, with sorted keys: order, text and comments of a spec
do not count. To count a field too many costs a re-run; one too few costs a wrong table, so everything counts but the short list below.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, cast

from dsl.values import StepId, Value

if TYPE_CHECKING:  # steps are made of the judges' settings, whose files make row keys with this module
    from dsl.settings import JudgeSettings
    from dsl.steps import Step

NOT_COUNTED: Mapping[str, frozenset[str]] = {
    # where something lies; its content is counted through `sha256`
    "FileSource": frozenset({"path"}),
    "PromptText": frozenset({"path"}),
    "RubricFile": frozenset({"file", "levels"}),
    "VerdictFile": frozenset({"path"}),
    # what scores mean, not which they are
    "recorded.Settings": frozenset({"score_range"}),
    # how fast, never what
    "Weights": frozenset({"path", "batch_size", "accept_license"}),
    "openai.Settings": frozenset(
        {"api_key_env", "max_concurrency", "timeout", "max_retries", "usd_per_million_prompt_tokens", "usd_per_million_new_tokens"}
    ),
    "SystemOne": frozenset({"api_key_env", "max_concurrency", "timeout", "max_retries", "usd_per_million_prompt_tokens"}),
    "Training": frozenset({"save_steps"}),
}
"""Class (a plugin's `Settings` by its module) -> fields that cannot change a result."""


_encode = json.JSONEncoder(ensure_ascii=False).encode  # one encoder: `json.dumps` would make a new one for each value


class Canonical:
    """Writes canonical JSON. Values met before are not written again: a plan's steps share most of their parts."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Value, str]] = {}

    def text(self, value: object) -> str:
        """Canonical JSON of a value, a step, or plain data."""
        if isinstance(value, str):
            return encode_basestring(value)
        if value is None:
            return "null"
        if type(value) is int:
            return str(value)
        if isinstance(value, Value):
            known = self._known.get(id(value))
            if known is None:
                known = self._known[id(value)] = (value, self._object(value))  # the value is kept, so its id stays its own
            return known[1]
        if isinstance(value, tuple | list):
            return "[" + ",".join([self.text(one) for one in cast("Sequence[object]", value)]) + "]"
        if isinstance(value, dict):
            pairs = sorted(cast("dict[str, object]", value).items())
            return "{" + ",".join([f"{json.dumps(key)}:{self.text(one)}" for key, one in pairs]) + "}"
        return _encode(value)

    def step_id(self, step: "Step") -> StepId:
        """The step's id."""
        return f"{step.kind}-{hashlib.sha256(self._object(step).encode()).hexdigest()[:12]}"

    def judge_key(self, judge: "JudgeSettings") -> str:
        """What a judge is called in its step: the first 12 hex digits of the SHA-256 of its settings."""
        return hashlib.sha256(self.text(judge).encode()).hexdigest()[:12]

    def _object(self, value: Value) -> str:
        cls, fields = type(value), value.__dict__  # which pydantic keeps them in: half the time of `getattr`
        pairs = [begin + self.text(fields[name]) for begin, name in _counted(cls)]
        if isinstance(version := getattr(cls, "VERSION", None), int):
            pairs.append(f'"VERSION":{version}')
        return "{" + ",".join(pairs) + "}"


def class_name(cls: type[Value]) -> str:
    """How `NOT_COUNTED` calls a class."""
    return f"{cls.__module__.rsplit('.', 1)[-1]}.{cls.__name__}" if cls.__name__ == "Settings" else cls.__name__


@cache
def _counted(cls: type[Value]) -> tuple[tuple[str, str], ...]:
    """The fields that count, each as its object's text begins it and by its name."""
    left_out = NOT_COUNTED.get(class_name(cls), frozenset())
    return tuple((f'"{name}":', name) for name in sorted(cls.model_fields) if name not in left_out)


def step_id(step: "Step") -> StepId:
    """The id of one step."""
    return Canonical().step_id(step)


def judge_key(judge: "JudgeSettings") -> str:
    """The key of one judge's settings in its step."""
    return Canonical().judge_key(judge)


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(Canonical().text(value).encode()).hexdigest()

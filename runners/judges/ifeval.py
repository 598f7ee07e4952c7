"""`ifeval`: accuracy on verifiable instructions, strict and loose. Those of IFEval and M-IFEval in English,
French, Spanish and Japanese.

Sources: Zhou et al., *Instruction-Following Evaluation for Large Language Models*, arXiv 2311.07911; Dussolle
et al., *M-IFEval: Multilingual Instruction-Following Evaluation*, arXiv 2502.04688. A data set names the
columns with the instructions:

    columns: {…, extra: {instruction_id_list: instruction_id_list, kwargs: kwargs}}
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from dsl.data.records import Example, Verdict
from dsl.judges.contract import Reads
from dsl.judges.ifeval import Settings
from runners.judges._ifeval.arguments import Outcome
from runners.judges._ifeval.loose import variants
from runners.judges._ifeval.registry import checks
from runners.judges.contract import Answer, Tools

READS: tuple[Reads, ...] = ("text", "language", "extra")

_IDS, _ARGUMENTS = "instruction_id_list", "kwargs"


def aspects(settings: Settings) -> dict[str, object]:
    return dict.fromkeys(settings.verdict_aspects(), settings)


def applies(settings: Settings, aspect: str, example: Example) -> bool:
    """Leave out items without instructions, in a data set of several kinds."""
    return example.extra.get(_IDS) != ""


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        try:
            instructions = _instructions(answer.example, settings)
        except ValueError as error:
            yield from (answer.unscored(aspect, str(error)) for aspect in answer.keys)
            continue
        for aspect in answer.keys:
            versions = [
                version for version in variants(answer.text) if aspect == "loose" or version == answer.text
            ]
            try:
                found = {name: _best(follows, versions) for name, follows in instructions.items()}
            except ValueError as error:
                yield answer.unscored(aspect, str(error))
                continue
            outcomes = [
                (_id(name) + (f" ({one.note})" if isinstance(one, Outcome) else ""), bool(one))
                for name, one in found.items()
            ]
            failed = [words for words, followed in outcomes if not followed]
            reason = (
                f"does not follow {', '.join(failed)}"
                if failed
                else f"follows {', '.join(words for words, _ in outcomes)}"
            )
            yield answer.scored(
                aspect,
                not failed,
                reason=reason,
                parts={name: float(bool(one)) for name, one in found.items()},
            )


def missing(answer: Answer, settings: Settings, reason: str) -> Iterator[Verdict]:
    """Count every instruction of an answer that does not exist as not followed."""
    try:
        parts = dict.fromkeys(_instructions(answer.example, settings), 0.0)
    except ValueError as error:
        yield from (answer.unscored(aspect, str(error)) for aspect in answer.keys)
        return
    yield from (answer.scored(aspect, 0, reason=reason, parts=parts) for aspect in answer.keys)


def _best(follows: Callable[[str], bool | Outcome], versions: Sequence[str]) -> bool | Outcome:
    """The first version that follows, otherwise the first of all: the text as it is."""
    first: bool | Outcome = False
    for place, version in enumerate(versions):
        found = follows(version)
        if found:
            return found
        first = first if place else found
    return first


def _id(name: str) -> str:
    return name.split(" ", 1)[1]


def _instructions(example: Example, settings: Settings) -> dict[str, Callable[[str], bool | Outcome]]:
    """Place and id -> the check of a text against the instruction.

    Raises:
        ValueError: there are none, or one of them cannot be checked; the message says why.
    """
    ids, given = _listed(example, _IDS), _listed(example, _ARGUMENTS)
    if len(ids) != len(given):
        raise ValueError(f"{len(ids)} instructions with arguments for {len(given)}")
    found: dict[str, Callable[[str], bool | Outcome]] = {}
    for place, (instruction_id, arguments) in enumerate(zip(ids, given, strict=True)):
        if not isinstance(instruction_id, str) or not isinstance(arguments, dict):
            raise ValueError(
                f"instruction {place} is not an id with named arguments: {str(instruction_id)[:60]!r}"
            )
        found[f"{place} {instruction_id}"] = checks(
            instruction_id,
            cast("Mapping[str, Any]", arguments),
            example.language,
            as_published=settings.benchmark is not None,
        )
    return found


def _listed(example: Example, column: str) -> list[Any]:
    text = example.extra.get(column, "")
    if not text:
        raise ValueError(f"the item has no `{column}`: the spec names its columns under `extra`")
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"`{column}` is not JSON: {text[:60]!r}") from error
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"`{column}` is no list, or an empty one: {text[:60]!r}")
    return cast("list[Any]", listed)

"""`ifeval`: does the answer follow the item's verifiable instructions? Those of IFEval and M-IFEval in English, French and Spanish.

Sources: Zhou et al., *Instruction-Following Evaluation for Large Language Models*, arXiv 2311.07911; Dussolle et al., *M-IFEval: Multilingual
Instruction-Following Evaluation*, arXiv 2502.04688. A data set names the columns with the instructions:

    columns: {…, extra: {instruction_id_list: instruction_id_list, kwargs: kwargs}}
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, Literal, cast

from dsl.records import Example, Verdict
from dsl.settings import JudgeSettings
from runners.judges._ifeval.loose import variants
from runners.judges._ifeval.registry import checks
from runners.judging import Answer, Reads, Tools

READS: tuple[Reads, ...] = ("text", "language", "extra")

_IDS, _ARGUMENTS = "instruction_id_list", "kwargs"


class Settings(JudgeSettings):
    """1 where every instruction of the item is followed, 0 where one is not: by the answer as it is (`strict`), or for each instruction by
    some version of it without a first line, a last line or asterisks (`loose`). The verdict's parts say it of each instruction.
    """

    VERSION: ClassVar[int] = 1
    LABEL: ClassVar[str] = "follows every instruction"
    CHECKED_AGAINST: ClassVar[Literal["answers", "instructions"] | None] = "instructions"
    judge: Literal["ifeval"] = "ifeval"

    def verdict_aspects(self) -> tuple[str, ...]:
        return "strict", "loose"


def aspects(settings: Settings) -> dict[str, object]:
    return dict.fromkeys(settings.verdict_aspects(), settings)


def judge(answers: Iterable[Answer], settings: Settings, tools: Tools) -> Iterator[Verdict]:
    for answer in answers:
        try:
            instructions = _instructions(answer.example)
        except ValueError as error:
            yield from (answer.unscored(aspect, str(error)) for aspect in answer.keys)
            continue
        for aspect in answer.keys:
            versions = [version for version in variants(answer.text) if aspect == "loose" or version == answer.text]
            parts = {name: float(any(map(follows, versions))) for name, follows in instructions.items()}
            failed = [name.split(" ", 1)[1] for name, followed in parts.items() if not followed]
            reason = f"does not follow {', '.join(failed)}" if failed else f"follows {', '.join(name.split(' ', 1)[1] for name in parts)}"
            yield answer.scored(aspect, not failed, reason=reason, parts=parts)


def _instructions(example: Example) -> dict[str, Callable[[str], bool]]:
    """Place and id -> what tells whether a text follows the instruction.

    Raises:
        ValueError: there are none, or one of them cannot be checked; the message says why.
    """
    ids, given = _listed(example, _IDS), _listed(example, _ARGUMENTS)
    if len(ids) != len(given):
        raise ValueError(f"{len(ids)} instructions with arguments for {len(given)}")
    found: dict[str, Callable[[str], bool]] = {}
    for place, (instruction_id, arguments) in enumerate(zip(ids, given, strict=True)):
        if not isinstance(instruction_id, str) or not isinstance(arguments, dict):
            raise ValueError(f"instruction {place} is not an id with named arguments: {str(instruction_id)[:60]!r}")
        found[f"{place} {instruction_id}"] = checks(instruction_id, cast("Mapping[str, Any]", arguments), example.language)
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

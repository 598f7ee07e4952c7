"""Row keys of verdicts: hashes of all that decides one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import Completion, Example, Verdict
from dsl.judges.contract import JudgeSettings, Reads
from dsl.steps.identity import Canonical, digest
from dsl.values import Name, Sha256


class Keys:
    """Row keys of one judge: hashes of its settings for an aspect, of its code where it decides by rule, and
    of the fields that it reads."""

    def __init__(
        self,
        module: ModuleType,
        settings: JudgeSettings,
        resolved: Sequence[str | None] = (),
        replicate: int = 0,
    ) -> None:
        """`module` is the judge's; `resolved` are the commits that its models' names stand for."""
        self._replicate = (replicate,) if replicate else ()
        self._reads: tuple[Reads, ...] = module.READS
        self._made_by = (fingerprint(*settings.counted_code), resolved)
        self._canonical = Canonical()
        self._judge = settings.judge
        # which answers are judged does not change a verdict
        settings = settings.model_copy(update={"limit": None})
        own: dict[str, object] = (
            module.aspects(settings) if hasattr(module, "aspects") else {settings.judge: settings}
        )
        self._settings = {aspect: self._canonical.text(counted) for aspect, counted in own.items()}
        applies: Callable[[JudgeSettings, str, Example], bool] = getattr(module, "applies", _always)
        self._applies = partial(applies, settings)
        self._needs = settings.NEEDS

    def of(
        self,
        example: Example,
        completion: Completion,
        opponent: Completion | None = None,
        verdicts: Mapping[Name, Sequence[Verdict]] | None = None,
    ) -> dict[str, Sha256]:
        """Return the row key of every aspect that applies to the example and, where other judges are read, on
        which they have verdicts."""
        read: dict[str, object] = {}
        for name in self._reads:
            match name:
                case "text":
                    read[name] = _text(completion)
                case "finish_reason":
                    read[name] = completion.finish_reason
                case "opponent":
                    read[name] = opponent and _text(opponent)
                    if opponent is not None and opponent.turns:
                        read["opponent's turns"] = opponent.turns
                case "instruction":
                    read[name] = example.instruction
                    if example.turns:  # whoever reads a question reads the conversation that it ends
                        read["turns"] = example.turns
                case "verdicts":
                    read[name] = {
                        j: [(v.aspect, v.score, v.unscored_reason) for v in found]
                        for j, found in (verdicts or {}).items()
                    }
                case _:
                    read[name] = getattr(example, name)
        judged = {v.aspect for found in (verdicts or {}).values() for v in found}
        return {
            aspect: self._key(aspect, counted, read)
            for aspect, counted in self._settings.items()
            if all(getattr(example, column) for column in self._needs)
            and self._applies(aspect, example)
            and (
                "verdicts" not in self._reads or aspect in judged or (aspect == self._judge and bool(judged))
            )
        }

    def _key(self, aspect: str, counted: str, read: Mapping[str, object]) -> Sha256:
        return digest((aspect, counted, self._made_by, read, *self._replicate))


def _always(settings: JudgeSettings, aspect: str, example: Example) -> bool:
    return True


def _text(completion: Completion) -> object:
    return (
        (completion.text, completion.error or completion.finish_reason)
        if completion.text is None
        else completion.text
    )

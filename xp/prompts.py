"""The prompt contract of a study, in lines for a person."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dsl.data.written_files import scratch_folder
from dsl.messages import one_line
from dsl.plan.study import Plan
from dsl.values import StepId
from runners.contract.findings import Finding, keys_of, known_findings
from runners.store.store import Store
from xp.render.labels import labels_in
from xp.render.words import counted


@dataclass(frozen=True)
class Checked:
    """Result of a check of prompts and training rows."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    n_checked: int
    """Steps whose prompts or training rows were read as tokens, now or before."""
    n_unread: int
    """Steps whose rows, or whose model's tokenizer, are not on this machine yet."""

    def __str__(self) -> str:
        unread = f"; {self.n_unread} not, since their rows or tokenizers are not here yet"
        return (
            f"prompts and training rows of {counted(self.n_checked, 'step')} checked"
            f"{unread if self.n_unread else ''}: {counted(len(self.errors), 'error')},"
            f" {counted(len(self.warnings), 'warning')}"
        )


def check_prompts(
    plan: Plan, wanted: Iterable[StepId], store: Path, *, in_process: bool = False, is_served: bool = False
) -> Checked:
    """Check what models will read, with their own tokenizers; with `is_served` those of servers, too, which
    are asked for that.

    Raises:
        StoreError: the check fails.
    """
    from runners.contract.served import Served, check_served  # a plan needs neither
    from runners.execution.prompt_contract import findings_of

    asked, held = tuple(wanted), Store(store)
    served, failed = Served({}), tuple[str, ...]()
    if is_served:
        try:
            with scratch_folder() as scratch:
                served = check_served(plan.steps, asked, held, scratch)
        # as in `findings_of`: whatever is raised says nothing of the prompts
        except Exception as error:
            failed = (f"the prompts of servers could not be checked: {one_line(str(error))}",)
    found = findings_of(plan.steps, asked, held, served.renderings, in_process=in_process)
    n_unread = len(keys_of({step_id: plan.steps[step_id] for step_id in asked}).keys() - found.keys())
    for step_id, findings in served.findings.items():
        found[step_id] = (*findings, *found.get(step_id, ()))
    errors, warnings = (_lines(plan, found, level) for level in ("error", "warning"))
    return Checked(errors, (*warnings, *failed), len(found), n_unread)


def known_lines(plan: Plan, wanted: Iterable[StepId], store: Path) -> tuple[str, ...]:
    """Return what was found when steps were checked last; nothing is loaded for that."""
    found = known_findings({step_id: plan.steps[step_id] for step_id in wanted}, store / "cache")
    return (
        *(f"error: {line}" for line in _lines(plan, found, "error")),
        *(f"warning: {line}" for line in _lines(plan, found, "warning")),
    )


def _lines(plan: Plan, found: Mapping[StepId, Iterable[Finding]], level: str) -> tuple[str, ...]:
    """Each finding once, with the first step that it is about and the number of others."""
    about: dict[str, list[StepId]] = {}
    for step_id, findings in found.items():
        for one in findings:
            if one.level == level:
                about.setdefault(one.message, []).append(step_id)
    labels = labels_in(plan.study.cells) if about else {}
    return tuple(
        f"{labels.get(first, first)}{f' and {len(others)} more' if others else ''}: {message}"
        for message, (first, *others) in about.items()
    )

"""Ledger of a store: what each plan that was applied asked, and the contrasts that it fixed beforehand."""

from dsl.data.records import Record
from dsl.plan.study import ContrastPlan, Study
from dsl.steps.identity import digest
from dsl.values import Name, Sha256, StepId, Value


class AskedCell(Value):
    """A cell of a plan: what answers it and who judges it."""

    cell_id: str
    dataset: Name
    generate: StepId
    judges: tuple[Name, ...]


class FixedContrast(Value):
    """A contrast as it was fixed."""

    name: str
    sha256: Sha256
    """Hash of its sides, the judges it is declared on and what it is declared to change with."""


class LedgerEntry(Record):
    """One plan: `.xp/experiments/ledger/<experiment>~<n>.json`, written before its first step."""

    IF_LOST = "The report then counts one plan less: delete it"

    experiment: Name
    n: int
    """Number, from 1, of the plan among those of its name."""
    applied_at: str
    """ISO 8601, UTC."""
    contrasts: tuple[FixedContrast, ...]
    contrasts_sha256: Sha256
    """Hash of all of them."""
    cells: tuple[AskedCell, ...]
    had_results: bool
    """True where the plan before it had a verdict already: contrasts that are new came after a result."""


def ledger_entry(study: Study, n: int, applied_at: str, *, had_results: bool) -> LedgerEntry:
    """Return a plan's line in the ledger."""
    contrasts = tuple(FixedContrast(name=one.name, sha256=_fixed(one)) for one in study.contrasts)
    return LedgerEntry(
        experiment=study.experiment,
        n=n,
        applied_at=applied_at,
        contrasts=contrasts,
        contrasts_sha256=digest(sorted(one.sha256 for one in contrasts)),
        cells=tuple(
            AskedCell(
                cell_id=cell.cell_id,
                dataset=cell.dataset,
                generate=cell.generate,
                judges=tuple(cell.judges),
            )
            for cell in study.cells
        ),
        had_results=had_results,
    )


def _fixed(one: ContrastPlan) -> Sha256:
    return digest((one.of, one.against, one.on, one.by, one.method, one.is_declared))

"""Results of apply, adopt, pull and verify as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dsl.messages import listed, one_line
from dsl.plan.diff import Diff
from dsl.values import StepId
from xp.render.words import counted, each_error_once

if TYPE_CHECKING:  # a plan is shown without loading what would run it
    from xp.adopt import Adopted
    from xp.attempts import Applied
    from xp.pull import Pulled
    from xp.remake import Remade
    from xp.verify import Verified
    from xp.verify_bundle import VerifiedBundle


BUDGET_OF_A_STORE = "The budget is this store's: each store that shares the bucket may spend as much again."


def applied_as_text(diff: Diff, applied: "Applied") -> str:
    """Summary of an apply, with every failure and where its log is."""
    if not diff.todo and not applied.n_done and not applied.n_shared:
        lines = [
            f"Nothing to run: all {len(diff.plan.steps)} steps of {diff.plan.study.experiment} have their"
            " results."
        ]
    else:
        lines = [
            f"{counted(applied.n_done, 'step')} done, {applied.n_failed} failed, {applied.n_skipped} skipped"
            f" because an input {'was stopped or ' if applied.stopped else ''}failed."
        ]
    if applied.n_shared:
        lines.append(f"{counted(applied.n_shared, 'step')} made by other applies.")
    lines += _stop(applied)
    lines += each_error_once([(one.step_id, one.error, str(one)) for one in applied.failures])
    report = [] if applied.report is None else [f"Report: {applied.report}"]
    return "\n".join([*lines, *applied.notes, *report])


def in_bucket_as_text(address: str, there: Sequence[StepId], todo: Sequence[StepId]) -> str:
    """Sentence on the steps to run that a bucket holds."""
    return f"{address} holds {len(there)} of the {counted(len(todo), 'step')} to run: those are fetched."


def _stop(applied: "Applied") -> list[str]:
    """Say what waits at a provider and what the budget stopped, what is kept, and how to go on."""
    waiting = [one for one in applied.stopped if one.n_waiting]
    stopped = [one for one in applied.stopped if not one.n_waiting]
    n_waiting = sum(one.n_waiting for one in waiting)
    lines = [
        f"{counted(n_waiting, 'request waits', 'requests wait')} at the provider: apply again to fetch what"
        " is answered, within a day."
    ] * bool(waiting)
    lines += [f"  {reason}" for reason in dict.fromkeys(one.reason for one in waiting)]
    if not stopped:
        return [*lines, *([] if applied.spent is None else [f"Spent so far: {applied.spent}."])]
    n_rows, n_all = (sum(getattr(one, name) for one in stopped) for name in ("n_rows", "n_all"))
    rows = f" ({n_rows:,} of their {n_all:,} rows are kept)" if n_all else ""
    return [
        *lines,
        f"Stopped by the budget: {counted(len(stopped), 'step')}{rows}. Spent so far: {applied.spent}.",
        *(f"  {reason}" for reason in dict.fromkeys(one.reason for one in stopped)),
        "To go on, raise `budget` in the spec and apply again: what is kept costs nothing.",
    ]


def adopted_as_text(adopted: "Adopted") -> str:
    """Summary of an adoption: what was adopted, and what was not and why."""
    lines = [f"Adopted: {counted(adopted.n_answers, 'answer')}, {counted(adopted.n_verdicts, 'verdict')}."]
    lines += [f"  {n:,} not adopted: {why}" for why, n in adopted.left_out.items()]
    return "\n".join([*lines, "Next: `xp apply`, which asks for the rest."])


def pulled_as_text(pulled: "Pulled") -> str:
    """Summary of a pull: what came, what was there, and what was left and why."""
    came = f"Pulled: {counted(pulled.n_steps, 'step')}; {pulled.n_there} were here already."
    studies = [f"New here: {listed(pulled.studies)}."] if pulled.studies else []
    left = [f"  not pulled: {step_id}: {one_line(why)}" for step_id, why in pulled.left.items()]
    return "\n".join([came, *studies, *left, *map(one_line, pulled.notes)])


def verified_as_text(verified: "Verified") -> str:
    """Summary of a verification, with everything that does not agree."""
    looked = f"{counted(verified.n_steps, 'step')} verified, {verified.n_judged} of them judged again by rule"
    older = (
        f"; {verified.n_without_digests} were written without digests" if verified.n_without_digests else ""
    )
    return "\n".join([f"{looked}{older}: {counted(len(verified.faults), 'fault')}.", *verified.faults])


def bundle_verified_as_text(verified: "VerifiedBundle") -> str:
    """Summary of a bundle's verification, with everything that does not agree."""
    close = f", {len(verified.close)} but for the last digits" if verified.close else ""
    adapters = f"; {counted(verified.n_adapters, 'file')} of adapters" if verified.n_adapters else ""
    return "\n".join(
        [
            f"{verified.bundle}: {verified.n_equal} tables and figures are equal to the bit{close}{adapters}:"
            f" {counted(len(verified.faults), 'fault')}.",
            *verified.faults,
            *(f"note: {note}" for note in verified.notes),
        ]
    )


def remade_as_text(remade: "Remade", seed: int) -> str:
    """Summary of rows made again, with those that came out otherwise."""
    passed = f"; {counted(remade.n_passed_over, 'step')} passed over" if remade.n_passed_over else ""
    return "\n".join(
        [
            f"{remade.n_rows} of {counted(remade.n_all, 'row')} of models made again (seed {seed}){passed}:"
            f" {counted(len(remade.faults), 'fault')}.",
            *remade.faults,
            *([f"Stopped by the budget: {remade.stopped}."] if remade.stopped else []),
        ]
    )

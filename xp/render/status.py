"""The status of a store as text or JSON."""

import json
from dataclasses import asdict
from typing import Any

from xp.render.estimates import beside_lines
from xp.render.words import counted, each_error_once
from xp.studies import Status


def status_as_text(status: Status) -> str:
    """A store in a few lines."""
    lines = [
        f"{status.store}: {counted(len(status.studies), 'study', 'studies')}"
        + (f"; {status.holder}" if status.holder else "")
    ]
    for one in status.studies:
        lines.append(
            f"  {one.study.experiment}: {one.n_done} of {counted(len(one.study.step_ids), 'step')} done"
        )
        lines += [f"    chosen: {line}" for line in one.chosen]
        lines += [] if one.beside is None else [f"    {line}" for line in beside_lines(one.beside)]
        lines += [f"    spent: {one.spent}"] if one.spent else []
        lines += [f"  {run.step_id} was stopped: {run.error}" for run in one.stopped]
        failed = [(run.step_id, run.error or "", f"{run.step_id} failed: {run.error}") for run in one.failed]
        lines += [f"  {line}" for line in each_error_once(failed)]
    return "\n".join([*lines, *status.notes])


def status_as_json(status: Status) -> str:
    """The same for a program."""
    studies: list[dict[str, Any]] = [
        {
            "experiment": one.study.experiment,
            "n_steps": len(one.study.step_ids),
            "n_done": one.n_done,
            "chosen": list(one.chosen),
            "estimates": None if one.beside is None else asdict(one.beside),
            "spent": None if one.spent is None else one.spent.model_dump(),
            "stopped": {run.step_id: run.error for run in one.stopped},
            "failed": {run.step_id: run.error for run in one.failed},
        }
        for one in status.studies
    ]
    return json.dumps(
        {"store": str(status.store), "holder": status.holder, "studies": studies, "notes": status.notes},
        indent=1,
    )

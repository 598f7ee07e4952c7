"""The prompt contract in a process of its own, so that an apply loads no tokenizer; what it finds is kept in
the store.

    python -m runners.execution.prompt_contract --store .xp --parent PID

reads the steps of a plan, those to check and what servers made of prompts from standard input, and writes
what it found to standard output.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from dsl.data.written_files import scratch_folder
from dsl.engines.contract import EngineSettings
from dsl.errors import StoreError
from dsl.messages import one_line
from dsl.steps.steps import AnyStep, Step
from dsl.values import Sha256, StepId, Value
from runners.contract.findings import Finding, Findings, keep_findings, keys_of, read_findings
from runners.contract.rendering import Rendering
from runners.execution.executors._process import environment
from runners.execution.worker import die_with
from runners.store.store import Store

_FOUND: TypeAdapter[dict[Sha256, tuple[Finding, ...]]] = TypeAdapter(dict[Sha256, tuple[Finding, ...]])


class _Asked(Value):
    """The steps of a plan, as far as they are needed, those to check, and prompts as servers read them."""

    steps: dict[StepId, AnyStep]
    wanted: tuple[StepId, ...]
    renderings: tuple[Rendering, ...]


def findings_of(
    steps: Mapping[StepId, Step],
    wanted: Iterable[StepId],
    store: Store,
    renderings: Sequence[tuple[StepId, Rendering]] = (),
    *,
    in_process: bool = False,
) -> dict[StepId, tuple[Finding, ...]]:
    """Check prompts and training rows of those steps that the contract is about, and those of steps that
    servers read, and return what was found.

    Steps that were checked before are not checked again, unless a name on the hub may mean another model by
    now. Steps whose rows are not on this machine yet are left out.

    Raises:
        StoreError: the check itself failed.
    """
    keys = keys_of({step_id: steps[step_id] for step_id in wanted})
    known = dict(read_findings(store.cache))
    new = tuple(i for i, key in keys.items() if key not in known or _may_have_moved(steps[i]))
    read = tuple(one for _, one in renderings if one.key not in known or one.weights.unpinned() is not None)
    if new or read:
        try:
            found = (_check if in_process else _check_apart)(steps, new, read, store)
        # whatever a library raises says nothing of the prompts, and the steps are run without
        except Exception as error:
            raise StoreError(f"the prompts could not be checked: {one_line(str(error))}") from error
        keep_findings(store.cache, found)
        known |= found
    all_keys = (*keys.items(), *((step_id, one.key) for step_id, one in renderings))
    of_step: dict[StepId, tuple[Finding, ...]] = {}
    for step_id, key in all_keys:
        if key in known:
            of_step[step_id] = (*of_step.get(step_id, ()), *known[key])
    return of_step


def _may_have_moved(step: Step) -> bool:
    settings = getattr(step, "model", None) or getattr(step, "weights", None)
    return isinstance(settings, EngineSettings) and settings.unpinned() is not None


def _check(
    steps: Mapping[StepId, Step], wanted: tuple[StepId, ...], renderings: Iterable[Rendering], store: Store
) -> Findings:
    from runners.contract.check import check, compare

    with scratch_folder() as scratch:
        return {**check(steps, wanted, store, scratch), **compare(renderings, store.cache)}


def _check_apart(
    steps: Mapping[StepId, Step], wanted: tuple[StepId, ...], renderings: Iterable[Rendering], store: Store
) -> Findings:
    needed = {i: steps[i] for step_id in wanted for i in (step_id, *steps[step_id].inputs)}
    asked = _Asked.model_validate({"steps": needed, "wanted": wanted, "renderings": tuple(renderings)})
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "runners.execution.prompt_contract"),
            *("--store", str(store.root), "--parent", str(os.getpid())),
        ],
        input=asked.model_dump_json().encode(),
        capture_output=True,
        env=environment({}),
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise StoreError(last or f"exit code {done.returncode}")
    return _FOUND.validate_json(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m runners.execution.prompt_contract")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    die_with(arguments.parent)
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print is no answer
    asked = _Asked.model_validate_json(sys.stdin.buffer.read())
    found = _check(asked.steps, asked.wanted, asked.renderings, Store(arguments.store))
    with os.fdopen(answers, "wb") as out:
        out.write(_FOUND.dump_json(dict(found)))


if __name__ == "__main__":
    main()

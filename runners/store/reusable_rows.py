"""Whose rows a step may take over. Row keys decide what is valid; here it is only decided where to look
first.

A generate step looks at steps that asked the same model in the same way, a reference_logps step at those of
the same model, a judge step at steps with the same kind of judge. Most promising are those over the same
prompt and the same model's answers: a set with more items, a greater `max_new_tokens`, one more aspect. In a
large store the others are many and hold equal rows by chance alone, so only the newest of them are named.
"""

from itertools import islice
from pathlib import Path

from dsl.steps import identity
from dsl.steps.steps import GenerateStep, JudgeStep, ReferenceLogpsStep, Step
from dsl.values import StepId
from runners.store.store import Store, read_step

MOST = 64
"""Folders named of the close ones, and of the others."""


class Donors:
    """Where rows lie in a store, finished or not."""

    def __init__(self, store: Store) -> None:
        """Reads every reference_logps, generate and judge step's `step.json`: 0.2 ms each."""
        self._store = store
        self._lineage: dict[StepId, str] = {}
        self._close: dict[str, dict[StepId, None]] = {}
        self._alike: dict[str, dict[StepId, None]] = {}
        folders = (
            sorted(store.steps.iterdir(), key=lambda folder: folder.stat().st_mtime)
            if store.steps.is_dir()
            else []
        )
        # in this order: what a judge is close to depends on what it reads
        for kind in ("reference_logps-", "generate-", "judge-"):
            for folder in folders:
                if folder.name.startswith(kind):
                    self._add_folder(folder)

    def add(self, step_id: StepId, step: Step) -> None:
        """An attempt at this step has ended, so its rows may be taken."""
        if isinstance(step, GenerateStep):
            self._lineage[step_id] = identity.digest((step.model, step.tuned, step.prompt))
        for index, key in ((self._close, self._close_key(step)), (self._alike, self._alike_key(step))):
            if key is not None:
                index.setdefault(key, {}).pop(step_id, None)
                index[key][step_id] = None

    def of(self, step_id: StepId, step: Step, busy: frozenset[StepId] = frozenset()) -> tuple[Path, ...]:
        """Folders to look in, most promising first; not those that are being written (`busy`)."""
        if not self._store.is_shared:
            return ()
        close = self._close.get(self._close_key(step) or "", {})
        alike = self._alike.get(self._alike_key(step) or "", {})
        named = dict.fromkeys([*islice(reversed(close), MOST), *islice(reversed(alike), MOST)])
        folders = [self._folder(other) for other in named if other != step_id and other not in busy]
        return tuple(folder for folder in folders if folder is not None)

    def _add_folder(self, folder: Path) -> None:
        step, step_id = read_step(folder), folder.name.removesuffix(".tmp")
        # else the same settings would give other results today
        if step is not None and identity.step_id(step) == step_id:
            self.add(step_id, step)

    def _folder(self, step_id: StepId) -> Path | None:
        for folder in (self._store.step_folder(step_id), self._store.unfinished_folder(step_id)):
            if folder.exists():
                return folder
        return None

    def _close_key(self, step: Step) -> str | None:
        if isinstance(step, GenerateStep):
            return f"{self._alike_key(step)} {identity.digest(step.prompt)}"
        if isinstance(step, JudgeStep):
            return f"{self._alike_key(step)} {self._lineage.get(step.answers)}"
        if isinstance(step, ReferenceLogpsStep):
            return identity.digest((step.weights, step.policy, step.bf16))
        return None

    def _alike_key(self, step: Step) -> str | None:
        if isinstance(step, GenerateStep):
            decoding = step.decoding.model_dump(exclude={"max_new_tokens"})
            return identity.digest((step.model, step.tuned, decoding, step.seed))
        if isinstance(step, JudgeStep):
            return ", ".join(
                sorted({"by rule" if judge.is_by_rule() else judge.judge for judge in step.judges.values()})
            )
        return None

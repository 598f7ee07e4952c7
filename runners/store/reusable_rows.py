"""Cached rows that a step can reuse: where to look for them, and which of them are valid there.

Row keys decide what is valid; `ReuseIndex` only decides where to look first, and `row_index` where there is
nothing to find. A generate step looks at steps that asked the same model in the same way, a reference_logps
step at those of the same model, a judge step at steps with the same kind of judge. Most promising are those
over the same prompt and the same model's answers: a set with more items, a greater `max_new_tokens`, one more
aspect. In a large store the others are many and hold equal rows by chance alone, so only the newest of them
are named. A judge of answers that slices were put together of looks first at those who judged the slices,
however many.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from dsl.data.records import Completion, RefLogps, Verdict
from dsl.steps import identity
from dsl.steps.steps import GenerateStep, JudgeStep, ReferenceLogpsStep, Step
from dsl.values import Sha256, StepId, Value
from runners.store.digests import Damaged
from runners.store.row_index import may_hold, prefixes
from runners.store.step_io import CHECKS, StepContext, changed_at, whole_rows
from runners.store.store import Store, read_step

MOST = 64
"""Steps named of the close ones, and of the others."""

SPENT = ("seconds", "usd")
"""Fields of a row that count once, in the step that made it."""

AnyRow = TypeVar("AnyRow", bound=Value)
CachedRow = TypeVar("CachedRow", Completion, Verdict, RefLogps)
Place = TypeVar("Place")


def reuse_rows(
    kind: type[CachedRow],
    file: str,
    wanted: Mapping[Sha256, Sequence[Place]],
    out: Path,
    context: StepContext,
    is_valid: Callable[[CachedRow], bool] = lambda row: True,
) -> Iterator[tuple[Place, CachedRow]]:
    """Yield each place with the cached row that it can have, where there is one.

    Rows of earlier attempts at this step come first, and as they are. Those of other steps come without what
    was spent on them.

    Args:
        wanted: row key -> the places in the step that it is the key of.
    """
    missing, begin = dict(wanted), prefixes(wanted)
    for folder in (out, *context.earlier):
        if not missing:
            return
        for row in reusable_rows(folder / file, kind, missing):
            if row.row_key in missing and is_valid(row):
                for place in missing.pop(row.row_key):
                    yield place, row
    unspent = dict.fromkeys(name for name in SPENT if name in kind.model_fields)
    for folder in context.reuse_from:
        if not missing:
            return
        path = _rows_in(folder, file, begin, context.cache)
        for row in reusable_rows(Path(path), kind, missing) if path else ():
            if row.row_key in missing and is_valid(row):
                for place in missing.pop(row.row_key):
                    yield place, row.model_copy(update=unspent)


def _rows_in(folder: str, file: str, wanted: frozenset[int], cache: Path) -> str | None:
    """Return the path of a step's rows, finished or not; None where none of them can be wanted."""
    try:
        path = f"{folder}/{file}"
        return path if may_hold(path, wanted, cache) else None
    except FileNotFoundError:
        return f"{folder}.tmp/{file}"


def reusable_rows(path: Path, row: type[AnyRow], keys: Container[str] | None = None) -> Iterator[AnyRow]:
    """Yield the rows that an earlier attempt or another step left in a file, as `read_rows`.

    Lines that cannot be read are passed over, and all lines of a finished step whose files have changed
    since.
    """
    try:
        CHECKS.check(str(path.parent))
    except Damaged:
        return
    for _, found in whole_rows(path, row, keys):
        if not isinstance(found, ValidationError):
            yield found


class ReuseIndex:
    """Index of the steps in a store, finished or not, by what their rows have in common."""

    def __init__(self, store: Store) -> None:
        """Read the `step.json` of every reference_logps, generate and judge step: 0.2 ms each."""
        self._store = store
        self._lineage: dict[StepId, str] = {}
        self._close: dict[str, dict[StepId, None]] = {}
        self._alike: dict[str, dict[StepId, None]] = {}
        self._slices: dict[StepId, tuple[StepId, ...]] = {}
        self._judging: dict[tuple[StepId, str | None], dict[StepId, None]] = {}
        folders = (
            sorted(store.steps.iterdir(), key=lambda folder: changed_at(folder) or 0.0)
            if store.steps.is_dir()
            else []
        )
        # in this order: what a judge is close to depends on what it reads
        for kind in ("reference_logps-", "generate-", "judge-"):
            for folder in folders:
                if folder.name.startswith(kind):
                    self._add_folder(folder)

    def add(self, step_id: StepId, step: Step) -> None:
        """Add a step whose attempt has ended, so that its rows can be reused."""
        if isinstance(step, GenerateStep):
            self._lineage[step_id] = identity.digest((step.model, step.tuned, step.prompt))
            self._slices[step_id] = step.slices
        if isinstance(step, JudgeStep):
            self._judging.setdefault((step.answers, self._alike_key(step)), {})[step_id] = None
        for index, key in ((self._close, self._close_key(step)), (self._alike, self._alike_key(step))):
            if key is not None:
                index.setdefault(key, {}).pop(step_id, None)
                index[key][step_id] = None

    def steps_for(
        self, step_id: StepId, step: Step, busy: frozenset[StepId] = frozenset()
    ) -> tuple[StepId, ...]:
        """Return the steps to look in, most promising first; not those that are being written (`busy`)."""
        if not self._store.is_shared:
            return ()
        close = self._close.get(self._close_key(step) or "", {})
        alike = self._alike.get(self._alike_key(step) or "", {})
        named = dict.fromkeys(
            [*self._of_slices(step), *islice(reversed(close), MOST), *islice(reversed(alike), MOST)]
        )
        return tuple(other for other in named if other != step_id and other not in busy)

    def _of_slices(self, step: Step) -> Iterator[StepId]:
        """Yield the judge steps of the slices that a judge step's answers were put together of."""
        if isinstance(step, JudgeStep):
            for one in self._slices.get(step.answers, ()):
                yield from self._judging.get((one, self._alike_key(step)), ())

    def _add_folder(self, folder: Path) -> None:
        step, step_id = read_step(folder), folder.name.removesuffix(".tmp")
        # else the same settings would give other results today
        if step is not None and identity.step_id(step) == step_id:
            self.add(step_id, step)

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

"""Rows of a plan's data steps, made or not, and of pairs that were made."""

from collections.abc import Mapping
from pathlib import Path

from dsl.data.files import is_here
from dsl.data.source import FileSource
from dsl.errors import DataError
from dsl.steps.steps import DataStep, PairsStep, Step
from dsl.values import StepId
from runners.steps import find_runner
from runners.store.step_io import StepContext
from runners.store.store import Store


class DataFolders:
    """Folders of data steps: the store's, or those of rows that are read for the check alone."""

    def __init__(self, steps: Mapping[StepId, Step], store: Store, scratch: Path) -> None:
        self._steps, self._store, self._scratch = steps, store, scratch
        self._read: dict[StepId, Path | None] = {}

    def context(self, step: Step) -> StepContext | None:
        """The context of a step's rows; None where they cannot be read now."""
        needed = [i for i in step.inputs if isinstance(self._steps[i], DataStep | PairsStep)]
        folders = {i: self._folder(i) for i in needed}
        if any(folder is None for folder in folders.values()):
            return None
        return StepContext({i: f for i, f in folders.items() if f is not None}, self._store.cache)

    def _folder(self, step_id: StepId) -> Path | None:
        if self._store.is_done(step_id):
            return self._store.step_folder(step_id)
        if step_id not in self._read:
            self._read[step_id] = self._rows(step_id)
        return self._read[step_id]

    def _rows(self, step_id: StepId) -> Path | None:
        """Read rows into `scratch`."""
        step, folder = self._steps[step_id], self._scratch / step_id
        if (
            not isinstance(step, DataStep)
            or not isinstance(step.source, FileSource)
            or not is_here(step.source)
        ):
            return None
        folder.mkdir()
        try:
            find_runner(step.kind).run(step, StepContext({}, self._store.cache), folder)
        except DataError:  # which the step itself reports
            return None
        return folder

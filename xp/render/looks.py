"""Looks at the contrast that stops a study, as text: what is settled, and what was saved."""

import contextlib
from collections.abc import Container, Iterator

from dsl.data.records import Look
from dsl.plan.study import Study
from dsl.values import StepId
from runners.store.looks import last_look
from runners.store.store import Store


def looks_in_lines(study: Study, store: Store, done: Container[StepId]) -> Iterator[str]:
    """Yield the decision of the last look in each data set, language and model, in a line; those that cannot
    be read are left out."""
    contrast = next((one.stop_when.contrast for one in study.contrasts if one.stop_when), "")
    places = {(cell.dataset, cell.language, cell.model): cell.looks for cell in study.cells if cell.looks}
    for (dataset, language, model), looks in places.items():
        made = [step_id for step_id in looks if step_id in done]
        with contextlib.suppress(OSError, ValueError):
            if made:
                look = last_look(store.step_folder(made[-1]))
                yield _decision(look, contrast, f"{dataset} {language} on {model}")


def _decision(look: Look, contrast: str, place: str) -> str:
    found = (
        "nothing is scored yet"
        if look.estimate is None
        else f"difference {look.estimate:.2g} [{look.ci_low:.2g}, {look.ci_high:.2g}], e-value"
        f" {look.e_value:.3g}, {look.n} items"
    )
    slices = f"{look.number} of {look.of} slices of {place}"
    if look.is_settled:
        saved = f"; {look.of - look.number} slices are not asked" if look.number < look.of else ""
        return f"to stop after {slices}, since {contrast} is settled ({found}){saved}"
    if look.number < look.of:
        return f"to ask on after {slices}, since {contrast} is not settled ({found})"
    return f"to ask all slices of {place}, since {contrast} is not settled ({found})"

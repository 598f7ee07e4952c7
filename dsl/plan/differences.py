"""Settings in which the two sides of a contrast differ besides their methods: what else a difference may come
from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from dsl.engines.transformers import Weights
from dsl.plan.study import Cell, ContrastPlan
from dsl.steps.prompt_forms import ChatPrompt, PromptForm
from dsl.steps.steps import GenerateStep, Step
from dsl.steps.training_steps import SelectStep, TuningStep, Validation
from dsl.values import Language, Name, StepId

MOST = 3
"""Pairs of values of one setting that are named."""

Side = tuple[Name, Name]
"""Model, method."""

Places = Mapping[tuple[Name, Language], Mapping[str, str]]
"""(data set, language) -> settings by name."""


def described(
    contrasts: Iterable[ContrastPlan], cells: Iterable[Cell], steps: Mapping[StepId, Step]
) -> tuple[ContrastPlan, ...]:
    """Return the contrasts with what else differs between their sides, where both have cells."""
    settings: dict[Side, dict[tuple[Name, Language], dict[str, str]]] = {}
    for cell in cells:
        places = settings.setdefault((cell.model, cell.method), {})
        if (place := (cell.dataset, cell.language)) not in places:  # seeds share their settings
            places[place] = dict(_settings(cell, steps))
    models = dict.fromkeys(model for model, _ in settings)
    return tuple(
        contrast.model_copy(
            update={
                "differs": tuple(
                    _differences(
                        (settings.get(of, {}), settings.get(against, {}))
                        for of, against in _sides(contrast, models)
                    )
                )
            }
        )
        for contrast in contrasts
    )


def _sides(contrast: ContrastPlan, models: Iterable[Name]) -> Iterator[tuple[Side, Side]]:
    if contrast.method is not None:
        yield (contrast.of, contrast.method), (contrast.against, contrast.method)
        return
    for model in models:
        yield (model, contrast.of), (model, contrast.against)


def _differences(sides: Iterable[tuple[Places, Places]]) -> Iterator[str]:
    found: dict[str, dict[str, None]] = {}
    for of, against in sides:
        for place in of:
            for name, value in of[place].items():
                other = against.get(place, {}).get(name, value)
                if other != value:
                    found.setdefault(name, {})[f"{value} against {other}"] = None
    for name, pairs in found.items():
        rest = f" and {len(pairs) - MOST} more" if len(pairs) > MOST else ""
        yield f"{name} ({', '.join(list(pairs)[:MOST])}{rest})"


def _settings(cell: Cell, steps: Mapping[StepId, Step]) -> Iterator[tuple[str, str]]:
    """Yield the settings of a cell; training is compared with training only."""
    answers = steps[cell.generate]
    assert isinstance(answers, GenerateStep)
    yield "decoding", "unknown, recorded" if cell.method_kind == "recorded" else "as this study has it"
    if isinstance(answers.model, Weights):
        yield "dtype", answers.model.dtype
    if answers.prompt is not None:
        yield "template", _template(answers.prompt)
    if stages := list(_stages(cell, steps)):
        trained = [stage[0] for stage in stages]
        lengths = [" or ".join(dict.fromkeys(map(_length, stage))) for stage in stages]
        yield "training steps", " + ".join(lengths)
        tried = [str(len(stage)) for stage in stages]
        yield "trainings tried", "1" if set(tried) == {"1"} else " + ".join(tried)
        yield "validation", " + ".join(dict.fromkeys(_validation(step.validation) for step in trained))
        rows = ["all" if step.rows is None else str(step.rows) for step in trained]
        yield "training rows", "all" if set(rows) == {"all"} else " + ".join(rows)
        is_own = cell.train_languages == (cell.language,)
        yield "trained languages", "the asked one" if is_own else "+".join(cell.train_languages)


def _template(prompt: PromptForm) -> str:
    if isinstance(prompt, ChatPrompt):
        return "chat" if prompt.system is None else "chat with a system message"
    own = "" if prompt.text.path is None else "of one's own, "
    return f"text, {own}answered {'in a fence' if prompt.ends_at_fence else 'up to a stop string'}"


def _stages(cell: Cell, steps: Mapping[StepId, Step]) -> Iterator[list[TuningStep]]:
    """Yield the trainings behind a cell, one after another, each with its trials."""
    selections = [step for one in cell.train if isinstance(step := steps[one], SelectStep)]
    tried = {trial for selection in selections for trial in selection.inputs}
    for one in cell.train:
        step = steps[one]
        if isinstance(step, SelectStep):
            yield [cast(TuningStep, steps[trial]) for trial in step.inputs]
        elif isinstance(step, TuningStep) and one not in tried:
            yield [step]


def _validation(rows: Validation | None) -> str:
    if rows is None:
        return "none"
    return "a data set's" if isinstance(rows, tuple) else f"{rows.rows:g} of the rows"


def _length(step: TuningStep) -> str:
    training = step.training
    n_epochs = training.num_train_epochs
    epochs = f"{n_epochs:g} epoch{'' if n_epochs == 1 else 's'}"
    return str(training.max_steps) if training.max_steps > 0 else epochs

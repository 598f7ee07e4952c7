"""Model card as Markdown, with the hub's header.

It holds no words of models. Names and settings are escaped, as in the report's Markdown.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from dsl.data.source import HubSource
from dsl.engines.transformers import Weights
from dsl.messages import one_line
from dsl.steps.steps import DataStep
from dsl.steps.training_settings import EVALUATION
from dsl.steps.training_steps import PreferenceStep, TuningStep
from warehouse.report.markdown import escaped

if TYPE_CHECKING:
    from xp.model_card import Card, Row, Rows


def card_as_markdown(card: "Card") -> str:
    """Return a README.md with the hub's header."""
    base = escaped(base_name(card.trainings[-1].weights))
    kinds = " and then ".join(step.kind.upper() for step in card.trainings)
    what = "A LoRA adapter for" if card.is_adapter else "A model made from"
    parts = [
        f"---\n{_header(card)}\n---",
        f"# {base}, {kinds}",
        f"{what} {base}{_pinned(card)}, trained by {kinds}. Written by xp from step {escaped(card.step_id)}.",
        *(f"Asked in the study: {escaped(question)}" for question in card.questions),
    ]
    for step, data in zip(card.trainings, card.data, strict=True):
        parts += [f"## {step.kind.upper()}", *_training(step, data)]
    parts += ["## Scores", _scores(card.scores) or "No scores yet."]
    parts += ["## Contrasts", _contrasts(card.contrasts) or "The study compares it with nothing."]
    return "\n\n".join(parts) + "\n"


def base_name(weights: Weights) -> str:
    """Return the name of weights, that of a local folder without its place on this machine."""
    return weights.hub or weights.package or _last_part(weights.source)


def _header(card: "Card") -> str:
    """Return the header as YAML, without what is not known."""
    from huggingface_hub import ModelCardData

    base = card.trainings[-1].weights
    rows = [one.step for data in card.data for one in data]
    found: Any = ModelCardData(
        base_model=base.hub,
        library_name="peft" if card.is_adapter else "transformers",
        pipeline_tag="text-generation",
        license=base.accept_license,
        language=sorted({one.language for one in rows}) or None,
        datasets=sorted({one.source.hub for one in rows if isinstance(one.source, HubSource)}) or None,
        tags=[*(["lora"] if card.is_adapter else []), *dict.fromkeys(step.kind for step in card.trainings)],
    )
    return str(found.to_yaml())


def _pinned(card: "Card") -> str:
    base = card.trainings[-1].weights
    pin = base.revision or base.version
    return f" ({escaped(pin)})" if pin else ""


def _training(step: TuningStep, data: Sequence["Rows"]) -> Iterator[str]:
    rows = "all rows" if step.rows is None else f"{step.rows:,} rows"
    yield "\n".join(
        [
            f"Trained on {rows} of:",
            "",
            *(
                f"- {escaped(_name_of(one.step))}, {escaped(one.step.language)}"
                f"{', answers to its questions, ranked in the study' if one.are_questions else ''}"
                for one in data
            ),
        ]
    )
    settings: dict[str, Any] = {
        "seed": step.seed,
        **_loss(step),
        **({} if step.adapter is None else step.adapter.model_dump(exclude_none=True)),
        **step.training.model_dump(exclude_none=True, exclude=set() if step.validation else set(EVALUATION)),
    }
    yield _table(("setting", "value"), [(name, _value(value)) for name, value in settings.items()])


def _loss(step: TuningStep) -> dict[str, Any]:
    """Return the settings of a loss on pairs, which its kind of step has beside those of all."""
    if not isinstance(step, PreferenceStep):
        return {}
    others = {*PreferenceStep.model_fields, "ref_logps"}
    return {name: getattr(step, name) for name in type(step).model_fields if name not in others}


def _name_of(data: DataStep) -> str:
    """Return a data set's name on the hub, or that of a file without its place on this machine."""
    if isinstance(data.source, HubSource):
        return data.source.title
    return _last_part(data.source.title)


def _last_part(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _scores(rows: Sequence["Row"]) -> str:
    cells = [
        (
            row["dataset"],
            row["language"],
            row["measure"],
            f"{_number(row['mean_score'])} {_interval(row)}",
            f"{row['n']}",
            f"{row['n_unscored']}",
        )
        for row in rows
    ]
    names = ("data", "language", "measure", "mean (95% interval)", "n", "without a score")
    return _table(names, cells) if cells else ""


def _contrasts(rows: Sequence["Row"]) -> str:
    cells = [
        (
            f"{row['of']} − {row['against']}",
            row["dataset"],
            row["language"],
            row["measure"],
            f"{_number(row['estimate'])} {_interval(row)}",
            _number(row["p_corrected"]),
            f"{row['n']}",
            "" if row["n_seeds"] is None else f"{row['n_seeds']}",
        )
        for row in rows
    ]
    names = (
        "contrast",
        "data",
        "language",
        "measure",
        "difference (95% interval)",
        "p, corrected",
        "n",
        "seeds",
    )
    if not cells:
        return ""
    family = "Confirmatory" if rows[0]["family"] == "confirmatory" else "Exploratory"
    return f"{family} contrasts, over the items that both sides have a score for.\n\n{_table(names, cells)}"


def _table(names: Sequence[str], cells: Sequence[Sequence[object]]) -> str:
    lines = [names, ["---"] * len(names), *([escaped(one_line(str(cell))) for cell in row] for row in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _value(value: object) -> str:
    return (
        ", ".join(map(str, cast("Sequence[object]", value)))
        if isinstance(value, tuple | list)
        else str(value)
    )


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"


def _interval(row: "Row") -> str:
    low, high = row["ci_low"], row["ci_high"]
    return "(no interval)" if low is None or high is None else f"({_number(low)} to {_number(high)})"

"""PEFT's configuration of an adapter, checked against the model that it is to lie on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dsl.errors import DataError
from dsl.steps.training_settings import Adapter

if TYPE_CHECKING:
    from peft import LoraConfig


def lora(adapter: Adapter | None, model: Any) -> LoraConfig | None:
    """Return PEFT's configuration of an adapter on the model; None trains all weights.

    Raises DataError where a module is missing, since PEFT passes over one of several without a word, and
    where `ensure_weight_tying` has nothing to keep tied.
    """
    from peft import LoraConfig

    if adapter is None:
        return None
    settings = adapter.model_dump(exclude={"quantization"})  # which is of the weights
    if isinstance(adapter.target_modules, tuple):
        # TRL reads the output layer's own weight, so an adapter that lies on it would learn nothing
        head = model.get_output_embeddings()
        there = [name for name, module in _weighted(model) if module.weight.ndim == 2 and module is not head]
        _check_there("target_modules", adapter.target_modules, there, "An adapter can lie on")
        settings["target_modules"] = list(adapter.target_modules)
    there = [name for name, _ in _weighted(model)]
    _check_there("modules_to_save", adapter.modules_to_save, there, "What can be trained whole")
    settings["modules_to_save"] = list(adapter.modules_to_save) or None
    if adapter.ensure_weight_tying:
        _check_tied(adapter, model)
    return LoraConfig(**settings, task_type="CAUSAL_LM")


def _weighted(model: Any) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        if getattr(module, "weight", None) is not None:
            yield name, module


def _check_there(setting: str, wanted: Sequence[str], there: Sequence[str], possible: str) -> None:
    missing = [module for module in wanted if not any(f".{name}".endswith(f".{module}") for name in there)]
    if missing:
        raise DataError(
            f"`{setting}`: the model has no {' and no '.join(missing)}. {possible}:"
            f" {', '.join(sorted({name.rpartition('.')[2] for name in there}))}"
        )


def _check_tied(adapter: Adapter, model: Any) -> None:
    """Check that the embeddings are one weight, and that it is trained."""
    embeddings = (model.get_input_embeddings(), model.get_output_embeddings())
    if embeddings[1] is None or embeddings[0].weight is not embeddings[1].weight:
        raise DataError(
            "`ensure_weight_tying`: the model's input and output embedding are two weights. Leave it out"
        )
    names = sorted(name.rpartition(".")[2] for name, module in _weighted(model) if module in embeddings)
    if not {name.rpartition(".")[2] for name in adapter.modules_to_save}.intersection(names):
        raise DataError(
            f"`ensure_weight_tying`: `modules_to_save` names neither {' nor '.join(names)}, so that neither"
            " is trained. Name one, or leave `ensure_weight_tying` out"
        )

"""Models into memory: the only place that calls `from_pretrained`, but for the conversion in `weight_files`.

What a training step made lies on top of the weights, in its folder, laid down in this order:

    policy/   the folder of the step it started from, in the same form (a dpo step over an sft step)
    model/    weights that take the place of all that is below
    adapter/  a LoRA, merged into the weights

so that a step's folder and the weights are all that is needed to use it.

A process keeps the weights it used last, and one tuned model over them. The two share every tensor that the
adapter leaves as it is, and an adapter in training shares them all: adapters of one base model come and go
while the base stays in memory, as it was, bit for bit.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dsl.engines.transformers import Weights
from dsl.errors import DataError
from runners.models import load_checks, memory
from runners.models.startup_time import importing
from runners.models.weight_files import check_unchanged, commit_of, source_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER, MODEL, POLICY = "adapter", "model", "policy"
"""What a training step's folder holds; see above."""

Head = Literal["causal_lm", "decision", "classification"]
"""What a model is loaded for: to write, to decide (with a head of its own if it has one, else as a causal
language model), or to give an answer one number."""


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode and its tokenizer, which pads on the left."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    n_parameters: int
    """Shared weights (input and output embeddings) counted once; a merged adapter counts nothing."""
    load_seconds: float
    """0 when the model was in memory already."""
    device: str
    """`cuda` or `cpu`."""
    dtype: str
    """As torch names it: `float32`, `bfloat16`, `float16`."""
    eos_ids: frozenset[int]
    """Every token that ends a text: generation settings may name several, the tokenizer another, the chat
    template a third."""
    pad_id: int
    """A token of the embedding that pads and ends nothing."""
    commit: str | None = None
    """What a name on the hub stood for when the weights were loaded; None where they are named by commit, or
    lie here."""
    no_chat: str | None = None
    """Why the model cannot be asked through its tokenizer's chat template; None where it can."""
    remedies: tuple[str, ...] = ()
    """Faults of the checkpoint that were mended when it was loaded, a sentence each."""

    @property
    def n_positions(self) -> int | None:
        """Tokens that prompt and answer may have together; None where the configuration sets no limit."""
        return load_checks.n_positions(self.model)

    def missing_embeddings(self, token_ids: Iterable[int]) -> str | None:
        """A sentence that names those of the tokens for which the model has no embedding; None where it has
        all."""
        return load_checks.missing_embeddings(self.model, self.tokenizer, token_ids)


_base: tuple[str, Loaded] | None = None
"""The weights this process used last, with nothing on top: a worker takes the steps of one model one after
another."""

_tuned: tuple[str, Loaded] | None = None
"""The tuned model it used last."""


def load(weights: Weights, tuned: Path | None, cache: Path, head: Head = "causal_lm") -> Loaded:
    """The weights, with a training step's result on top if `tuned` names its folder. The last ones asked for
    are kept in memory.

    `cache` is a folder for converted weights. Raises DataError for weights that are missing, are pickled,
    come under a licence that was not accepted, or lack the head.
    """
    global _tuned
    if tuned is None:
        return _untuned(weights, cache, head)
    key = f"{_key(weights, head)} {tuned.resolve()}"
    if _tuned is not None and _tuned[0] == key:
        return replace(_tuned[1], load_seconds=0.0)
    _tuned = None  # before loading: two tuned models may not fit
    memory.give_back()
    loaded = _laid_over(weights, list(_layers(tuned)), cache, head)
    loaded.model.eval()
    _tuned = (key, loaded)
    return loaded


def load_to_train(weights: Weights, tuned: Path | None, cache: Path, *, is_frozen: bool = False) -> Loaded:
    """As `load`, but nobody else's: training changes the model. The tuned model kept in memory is let go.

    `is_frozen`: only what is added to the weights is trained, an adapter. Then the model stands on the
    weights in memory, which stay there; else they are let go too.
    """
    _forget(base=not is_frozen)
    layers = list(_layers(tuned)) if tuned is not None else []
    if not is_frozen:
        return _load(weights, layers, cache, "causal_lm")
    return _laid_over(weights, layers, cache, "causal_lm")


def _key(weights: Weights, head: Head) -> str:
    return f"{head} {weights.model_dump_json(exclude={'batch_size'})}"


def _untuned(weights: Weights, cache: Path, head: Head) -> Loaded:
    """The weights in memory, loaded now if others are there."""
    global _base
    key = _key(weights, head)
    if _base is not None and _base[0] == key:
        return replace(_base[1], load_seconds=0.0)
    _forget(base=True)  # before loading: two models may not fit
    loaded = _load(weights, [], cache, head)
    loaded.model.eval()
    _base = (key, loaded)
    return loaded


def _laid_over(weights: Weights, layers: Sequence[Path], cache: Path, head: Head) -> Loaded:
    """A model of its own modules over the tensors of the weights in memory; adapters are merged into copies
    of what they change.

    Weights that are replaced as a whole, and weights beside which their copy may not fit, are loaded anew,
    and those in memory let go.
    """
    if not any(layer.name == MODEL for layer in layers):
        _import(layers)
        base = _untuned(weights, cache, head)
        if not layers or memory.free_bytes(base.device) > 2 * base.model.get_memory_footprint():
            began = time.perf_counter()
            model = sharing_copy(base.model)
            for adapter in layers:
                model = _merge(model, adapter)
            return replace(base, model=model, load_seconds=base.load_seconds + time.perf_counter() - began)
    _forget(base=True)
    return _load(weights, layers, cache, head)


def _forget(*, base: bool) -> None:
    """Let go of the tuned model, and of the weights below it if asked to."""
    global _base, _tuned
    _tuned = None
    if base:
        _base = None
    memory.give_back()


def sharing_copy(model: PreTrainedModel) -> PreTrainedModel:
    """A model with modules, configuration and parameters of its own over the same tensors.

    Whoever wraps it, patches it or replaces its parameters leaves the first one as it was; only a tensor
    changed in place is changed for both.
    """
    import torch

    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.buffers()}
    shared |= {
        id(weight): torch.nn.Parameter(weight.detach(), requires_grad=weight.is_floating_point())
        for weight in model.parameters()
    }
    return copy.deepcopy(model, shared)


def _import(layers: Sequence[Path]) -> None:
    """What takes seconds the first time, so that it is told apart from loading."""
    with importing():
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401

        if any(layer.name == ADAPTER for layer in layers):
            from peft import PeftModel  # noqa: F401


def _load(weights: Weights, layers: Sequence[Path], cache: Path, head: Head) -> Loaded:
    _import(layers)
    import torch
    from transformers import AutoTokenizer

    _quiet()
    began = time.perf_counter()
    folder = source_folder(weights, cache)
    _check_type(weights, folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=weights.trust_remote_code, padding_side="left"
    )

    replaced = [at for at, layer in enumerate(layers) if layer.name == MODEL]
    if replaced:
        folder, layers = layers[replaced[-1]], layers[replaced[-1] + 1 :]
    model = _model(folder, weights, head).to(device)
    for adapter in layers:
        model = _merge(model, adapter)
    model.eval()
    check_unchanged(weights, cache)

    checked = load_checks.check(model, tokenizer)
    for remedy in checked.remedies:
        logging.getLogger(__name__).warning("%s: %s", weights.source, remedy)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        n_parameters=model.num_parameters(),
        load_seconds=time.perf_counter() - began,
        device=device,
        dtype=str(model.dtype).removeprefix("torch."),
        commit=commit_of(weights),
        **vars(checked),
    )


def _model(folder: Path, weights: Weights, head: Head) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForDecision, AutoModelForSequenceClassification

    how = {
        "dtype": getattr(torch, weights.dtype),
        "use_safetensors": True,
        "local_files_only": True,
        "attn_implementation": weights.attn_implementation,
        "trust_remote_code": weights.trust_remote_code,
    }
    if head == "decision":
        with contextlib.suppress(ValueError):  # how transformers says that there is no decision head
            return AutoModelForDecision.from_pretrained(folder, **how)
    if head == "classification":
        model, found = AutoModelForSequenceClassification.from_pretrained(
            folder, output_loading_info=True, **how
        )
        if found["missing_keys"]:  # transformers would make them up at random
            raise DataError(
                f"{weights.source} is no classification model: it lacks"
                f" {', '.join(sorted(found['missing_keys'])[:3])}"
            )
        return model
    return AutoModelForCausalLM.from_pretrained(folder, **how)


def _quiet() -> None:
    """No progress bars, and no word about anyone's training to the hub (TRL reports each trainer
    otherwise)."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    disable_progress_bar()


def _layers(tuned: Path) -> Iterator[Path]:
    """`model/` and `adapter/` folders in the order in which they are laid on the weights."""
    if (tuned / POLICY).is_dir():
        yield from _layers(tuned / POLICY)
    found = [tuned / name for name in (MODEL, ADAPTER) if (tuned / name).is_dir()]
    if not found:
        raise DataError(f"{tuned}: neither {MODEL}/ nor {ADAPTER}/ in this folder")
    yield from found


def _merge(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    from peft import PeftModel

    laid_on = PeftModel.from_pretrained(model, str(adapter), use_safetensors=True)
    _untie(model)
    # safe: into a copy of each weight, which then takes its place; in place, it would change the weights of
    # all who share them
    merged = laid_on.merge_and_unload(safe_merge=True)
    return merged.requires_grad_(True)  # PEFT froze what it merged into, and full training may follow


def _untie(model: PreTrainedModel) -> None:
    """Give the output layer a weight of its own where an adapter lies on the input embedding alone: it was
    trained to change only that."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or isinstance(embedding, BaseTunerLayer) == isinstance(head, BaseTunerLayer):
        return
    if embedding.weight is head.weight:
        plain = head if isinstance(embedding, BaseTunerLayer) else embedding
        plain.weight = torch.nn.Parameter(plain.weight.detach())
        model.config.tie_word_embeddings = model.config.get_text_config(decoder=True).tie_word_embeddings = (
            False
        )


def _check_type(weights: Weights, folder: Path) -> None:
    """The spec's own check reads a name on the hub; the configuration knows what a folder holds."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, trust_remote_code=weights.trust_remote_code)
    weights.check_type(config.model_type, is_encoder_decoder=config.is_encoder_decoder)

"""Loading of models: the only place that calls `from_pretrained`, but for the conversion in `weight_files`.

A training step's folder holds what it adds to the weights, applied in this order:

    policy/   the folder of the step it started from, in the same form (a dpo step after an sft step)
    model/    weights that replace all those above
    adapter/  a LoRA, merged into the weights

so that a step's folder and the base weights are all that is needed to use it.

A process keeps the base weights it used last, and one tuned model. The two share every tensor that the
adapter does not change, and a model whose adapter is in training shares them all: adapters are loaded and
freed while the base stays in memory, unchanged bit for bit.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from dsl.data.model_folder import damage_named
from dsl.engines.transformers import Weights
from dsl.errors import DataError
from runners.models import load_checks, memory
from runners.models.merging import merge
from runners.models.quantized import check_quantizable, nf4
from runners.models.startup_time import importing
from runners.models.weight_files import check_unchanged, commit_of, settings_folder, source_folder
from runners.store import spending

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADAPTER, MODEL, POLICY = "adapter", "model", "policy"
"""Parts of a training step's folder; see above."""

Head = Literal["causal_lm", "decision", "classification"]
"""Task of a model: to generate, to decide (with a head of its own if it has one, else as a causal language
model), or to score an answer."""


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
    """EOS tokens: generation settings may name several, the tokenizer another, the chat template a third."""
    pad_id: int
    """A token of the embedding that pads and is no EOS."""
    commit: str | None = None
    """The commit of a name on the hub when the weights were loaded; None where they are named by commit, or
    are local."""
    no_chat: str | None = None
    """The reason why the model cannot be asked through its tokenizer's chat template; None where it can."""
    remedies: tuple[str, ...] = ()
    """Faults of the checkpoint that were corrected when it was loaded, a sentence each."""

    @property
    def facts(self) -> dict[str, str | int | float | bool | None]:
        """Return the facts that a step keeps of the model it loaded."""
        return {
            "n_parameters": self.n_parameters,
            "device": self.device,
            "dtype": self.dtype,
            "remedies": "; ".join(self.remedies) or None,
            "commit": self.commit,
        }

    @property
    def n_positions(self) -> int | None:
        """The most tokens of prompt and answer together; None where the configuration sets no limit."""
        return load_checks.n_positions(self.model)

    def missing_embeddings(self, token_ids: Iterable[int]) -> str | None:
        """Return a sentence naming the tokens for which the model has no embedding; None where it has all."""
        return load_checks.missing_embeddings(self.model, self.tokenizer, token_ids)


_base: tuple[str, Loaded] | None = None
"""The base weights that this process used last: a worker runs the steps of one model one after another."""

_tuned: tuple[str, Loaded] | None = None
"""The tuned model it used last."""


def load(weights: Weights, tuned: Path | None, cache: Path, head: Head = "causal_lm") -> Loaded:
    """Load weights, with a training step's result applied if `tuned` names its folder. The last ones are kept
    in memory.

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
    loaded = _applied(weights, list(layers_of(tuned)), cache, head)
    loaded.model.eval()
    _tuned = (key, loaded)
    return loaded


def load_to_train(
    weights: Weights,
    tuned: Path | None,
    cache: Path,
    *,
    is_frozen: bool = False,
    is_quantized: bool = False,
    is_sharded: bool = False,
) -> Loaded:
    """Load as `load` does, but a model of the caller's alone, since training changes it. The tuned model in
    memory is freed.

    `is_frozen`: only an adapter is trained. Then the model shares the tensors of the base weights, which
    stay in memory; else those are freed too. `is_quantized`: in 4 bits, which are not shared. `is_sharded`:
    into main memory, from which a trainer takes the part of each process. The step is charged for its device
    time.
    """
    if is_quantized:
        check_quantizable()
    spending.begin()
    is_frozen = is_frozen and not is_quantized and not is_sharded
    _forget(base=not is_frozen)
    layers = list(layers_of(tuned)) if tuned is not None else []
    if not is_frozen:
        return _load(weights, layers, cache, "causal_lm", is_quantized=is_quantized, is_sharded=is_sharded)
    return _applied(weights, layers, cache, "causal_lm")


def _key(weights: Weights, head: Head) -> str:
    return f"{head} {weights.model_dump_json(exclude={'batch_size'})}"


def _untuned(weights: Weights, cache: Path, head: Head) -> Loaded:
    """Return the base weights in memory, loaded now if others are there."""
    global _base
    key = _key(weights, head)
    if _base is not None and _base[0] == key:
        return replace(_base[1], load_seconds=0.0)
    _forget(base=True)  # before loading: two models may not fit
    loaded = _load(weights, [], cache, head)
    loaded.model.eval()
    _base = (key, loaded)
    return loaded


def _applied(weights: Weights, layers: Sequence[Path], cache: Path, head: Head) -> Loaded:
    """Apply a training step's layers to a model that shares tensors with the base weights in memory; adapters
    are merged into copies of the tensors they change.

    Weights that are replaced as a whole, and weights whose copy may not fit beside them, are loaded anew, and
    those in memory freed.
    """
    if not any(layer.name == MODEL for layer in layers):
        _import(layers)
        base = _untuned(weights, cache, head)
        if not layers or memory.free_bytes(base.device) > 2 * base.model.get_memory_footprint():
            began = time.perf_counter()
            model = sharing_copy(base.model)
            for adapter in layers:
                model = merge(model, adapter)
            return replace(base, model=model, load_seconds=base.load_seconds + time.perf_counter() - began)
    _forget(base=True)
    return _load(weights, layers, cache, head)


def _forget(*, base: bool) -> None:
    """Free the tuned model, and the base weights if `base`."""
    global _base, _tuned
    _tuned = None
    if base:
        _base = None
    memory.give_back()


def sharing_copy(model: PreTrainedModel) -> PreTrainedModel:
    """Copy a model's modules, configuration and parameters; the copy shares tensors with the model.

    Wrapping or patching the copy, or replacing its parameters, leaves the model as it was; only a tensor
    changed in place changes in both.
    """
    import torch

    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.buffers()}
    shared |= {
        id(weight): torch.nn.Parameter(weight.detach(), requires_grad=weight.is_floating_point())
        for weight in model.parameters()
    }
    return copy.deepcopy(model, shared)


def _import(layers: Sequence[Path]) -> None:
    """Import what takes seconds the first time, counted as start-up and not as loading."""
    with importing():
        import transformers

        _ = transformers.AutoModelForCausalLM, transformers.AutoTokenizer  # imported when first accessed
        if any(layer.name == ADAPTER for layer in layers):
            importlib.import_module("peft")


def _load(
    weights: Weights,
    layers: Sequence[Path],
    cache: Path,
    head: Head,
    *,
    is_quantized: bool = False,
    is_sharded: bool = False,
) -> Loaded:
    _import(layers)
    import torch

    _quiet()
    began = time.perf_counter()
    folder = source_folder(weights, cache)
    with damage_named(folder):
        _check_type(weights, folder)
        tokenizer = _tokenizer(folder, weights)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    replaced = [at for at, layer in enumerate(layers) if layer.name == MODEL]
    if replaced:
        folder, layers = layers[replaced[-1]], layers[replaced[-1] + 1 :]
    how = nf4(weights, device) if is_quantized else {}
    with damage_named(folder):
        model: PreTrainedModel = _model(folder, weights, head, **how).to("cpu" if is_sharded else device)
    for adapter in layers:
        model = merge(model, adapter)
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


def load_without_weights(weights: Weights, cache: Path) -> Loaded:
    """Load tokenizer and configuration, which prompts and training rows as tokens need, with all checks.

    Parameters are on torch's meta device, without memory; none are fetched. Raises DataError as `load`.
    """
    import torch
    import transformers

    _quiet()
    auto: Any = transformers
    folder, code = settings_folder(weights, cache), {"trust_remote_code": weights.trust_remote_code}
    _check_type(weights, folder)
    with torch.device("meta"):
        model = auto.AutoModelForCausalLM.from_config(auto.AutoConfig.from_pretrained(folder, **code), **code)
    if (folder / "generation_config.json").is_file():
        model.generation_config = auto.GenerationConfig.from_pretrained(folder)
    tokenizer = _tokenizer(folder, weights)
    checked = load_checks.check(model, tokenizer)
    return Loaded(model, tokenizer, model.num_parameters(), 0.0, "meta", weights.dtype, **vars(checked))


def _tokenizer(folder: Path, weights: Weights) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    return cast("Any", AutoTokenizer).from_pretrained(
        folder, trust_remote_code=weights.trust_remote_code, padding_side="left"
    )


def _model(folder: Path, weights: Weights, head: Head, **how: Any) -> Any:
    import torch
    import transformers

    auto: Any = transformers

    how |= {
        "dtype": getattr(torch, weights.dtype),
        "use_safetensors": True,
        "local_files_only": True,
        "attn_implementation": weights.attn_implementation,
        "trust_remote_code": weights.trust_remote_code,
    }
    if head == "decision":
        with contextlib.suppress(ValueError):  # transformers raises it where there is no decision head
            return auto.AutoModelForDecision.from_pretrained(folder, **how)
    if head == "classification":
        model, found = auto.AutoModelForSequenceClassification.from_pretrained(
            folder, output_loading_info=True, **how
        )
        if found["missing_keys"]:  # transformers would initialise them at random
            raise DataError(
                f"{weights.source} is no classification model: it lacks"
                f" {', '.join(sorted(found['missing_keys'])[:3])}"
            )
        return model
    return auto.AutoModelForCausalLM.from_pretrained(folder, **how)


def _quiet() -> None:
    """Disable progress bars and telemetry (TRL reports each trainer to the hub otherwise)."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    disable_progress_bar()


def layers_of(tuned: Path) -> Iterator[Path]:
    """Yield `model/` and `adapter/` folders in the order in which they are applied."""
    if (tuned / POLICY).is_dir():
        yield from layers_of(tuned / POLICY)
    found = [tuned / name for name in (MODEL, ADAPTER) if (tuned / name).is_dir()]
    if not found:
        raise DataError(f"{tuned}: neither {MODEL}/ nor {ADAPTER}/ in this folder")
    yield from found


def _check_type(weights: Weights, folder: Path) -> None:
    """Check the model type in the configuration: the spec's own check sees only a name."""
    from transformers import AutoConfig

    config: Any = cast("Any", AutoConfig).from_pretrained(folder, trust_remote_code=weights.trust_remote_code)
    weights.check_type(config.model_type, is_encoder_decoder=config.is_encoder_decoder)

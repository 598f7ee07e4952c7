"""Sampling parameters of one model: as the spec has them, or as the model was published with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsl.engines.contract import Decoding
from dsl.errors import DataError
from runners.inference.next_token import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_SAMPLING = {"do_sample", "temperature", "top_p", "top_k", "repetition_penalty"}
_OTHER = {
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "max_length",
    "max_new_tokens",
    "use_cache",
    "cache_implementation",
}
"""Settings that change no token, or that apply when the model is loaded."""

_TOP_K = 50
"""transformers' default for a model that samples and names none."""


def sampling_of(decoding: Decoding, model: PreTrainedModel) -> Sampling:
    """Return the sampling parameters of a study's decoding for a model.

    Raises DataError where the model's own settings are asked for and cannot be followed here.
    """
    chosen = {
        name: getattr(decoding, name) for name in ("temperature", "top_p", "top_k", "repetition_penalty")
    }
    if decoding.source == "model":
        chosen = _of_model(model)
    return Sampling(
        max_new_tokens=decoding.max_new_tokens, penalize_prompt=decoding.penalize_prompt, **chosen
    )


def _of_model(model: PreTrainedModel) -> dict[str, Any]:
    settings: Any = model.generation_config
    others = settings.to_diff_dict().items() if settings is not None else ()
    # 0 and 1 say "off" of a setting that is a share, a factor or a number of beams.
    if unknown := sorted(
        name for name, value in others if name not in _SAMPLING | _OTHER and _changes_tokens(name, value)
    ):
        raise DataError(
            f"`decoding: {{from: model}}`: the model's generation_config has {', '.join(unknown)}, which"
            " cannot be followed here"
        )
    named = {name: getattr(settings, name, None) for name in _SAMPLING}
    penalty = named["repetition_penalty"] or 1.0
    if not named["do_sample"]:
        return {"temperature": 0.0, "repetition_penalty": penalty}
    top_k = _TOP_K if named["top_k"] is None else named["top_k"]
    return {
        "temperature": named["temperature"] or 1.0,
        "top_p": named["top_p"] or 1.0,
        "top_k": top_k,
        "repetition_penalty": penalty,
    }


def _changes_tokens(name: str, value: Any) -> bool:
    is_off = value in (None, False, 0, 1) or value == []
    return not is_off and not name.startswith(("_", "output_", "return_", "transformers_version"))

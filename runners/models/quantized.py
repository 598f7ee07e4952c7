"""Weights in 4 bits, on which an adapter is trained (QLoRA, arXiv 2305.14314)."""

from importlib.util import find_spec
from typing import Any

from dsl.engines.transformers import Weights
from dsl.errors import DataError


def check_quantizable() -> None:
    """Check that weights in 4 bits can be trained on here. Raises DataError."""
    import torch

    check_quantizable_with(has_gpu=torch.cuda.is_available())


def check_quantizable_with(*, has_gpu: bool) -> None:
    """Check that weights in 4 bits can be trained on where there is a GPU, or none, without loading torch.
    Raises DataError."""
    if not has_gpu:
        raise DataError(
            "`quantization: nf4` is for the memory of a GPU, and this machine has none. Leave it out, or"
            " train where there is one"
        )
    if find_spec("bitsandbytes") is None:
        raise DataError("`quantization: nf4` needs the package bitsandbytes: pip install 'xp-lab[qlora]'")


def nf4(weights: Weights, device: str) -> dict[str, Any]:
    """Return the arguments with which transformers loads weights in 4 bits and computes in their `dtype`."""
    import torch
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, weights.dtype),
    )
    return {"quantization_config": config, "device_map": {"": device}}

"""Fully sharded data parallel training (FSDP2): each process holds a part of every weight, with its gradients
and optimiser states, and a layer's weights are gathered as it is computed."""

from __future__ import annotations

from typing import Any

from dsl.errors import DataError

ARGUMENTS: dict[str, object] = {
    "fsdp": True,  # version 2, a unit for each decoder layer, whole state dicts
    # accelerate would round weights and the residual stream to bfloat16, and gradients as they are added up;
    # see `prepare`
    "bf16": False,
}
"""Arguments of every configuration of TRL's, besides those of a training in which each holds all weights.

Gradient checkpointing stays the trainer's: accelerate's own draws another dropout as it computes again.
"""
CHECKPOINT = "pytorch_model_fsdp.bin"
"""A file of its checkpoints, whose optimiser states no other training reads."""


def prepare(trainer: Any, device: str, *, bf16: bool) -> None:
    """Compute in bfloat16 as other trainings do: with weights as they are, by autocast.

    Raises DataError where accelerate shards nothing: it would train with DDP without a word.
    """
    import torch

    if not trainer.is_fsdp_enabled:
        raise DataError(
            "`fsdp`: accelerate shards weights on GPUs alone, and there is none here. Leave `fsdp` out, or"
            " run the study where there are some"
        )

    def in_bf16() -> Any:
        return torch.autocast(device, torch.bfloat16, enabled=bf16)

    trainer.compute_loss_context_manager = in_bf16
    trainer.args.bf16 = bf16  # a fact


def whole(trainer: Any) -> dict[str, Any] | None:
    """Return the whole weights in the first process, nothing in others; None where each has them all.

    Tied ones are there once. Every process must call it.
    """
    if not trainer.is_fsdp_enabled:
        return None
    weights: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model)
    named = trainer.model.named_parameters
    tied = {name for name, _ in named(remove_duplicate=False)} - {name for name, _ in named()}
    return {name: weight for name, weight in weights.items() if name not in tied}


def whole_tensor(weight: Any) -> Any:
    """Return a weight of which each process may hold a part. Every process must call it."""
    from torch.distributed.tensor import DTensor

    weight = weight.detach()
    return weight.full_tensor() if isinstance(weight, DTensor) else weight

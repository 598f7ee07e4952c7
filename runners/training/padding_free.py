"""Check of padding-free training: rows that are packed into one sequence must not see each other."""

from typing import Any

from dsl.errors import DataError


def check_rows_apart_once_sharded(trainer: Any) -> None:
    """Check it as training begins, when the weights are on the GPUs that flash attention needs."""
    from transformers import TrainerCallback

    class Check(TrainerCallback):
        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            check_rows_apart(trainer)

    trainer.add_callback(Check())


def check_rows_apart(trainer: Any) -> None:
    """Check that rows of a batch without padding stay apart in the model.

    Another first row must change nothing in those behind it.

    Raises DataError where it does. Attention whose mask knows no rows (BLOOM, Falcon), sinks and recurrent
    layers let the rows see each other; with flash attention the same model may keep them apart, so it is
    tried and no list is kept.
    """
    import torch

    vocabulary: int = trainer.model.config.get_text_config(decoder=True).vocab_size
    rows = [[(7 * at + row) % vocabulary for at in range(length)] for row, length in enumerate((23, 11, 17))]
    others = [[(token + vocabulary // 2) % vocabulary for token in rows[0]], *rows[1:]]

    def logits(ids: list[list[int]]) -> Any:
        batch: dict[str, Any] = trainer.data_collator([{"input_ids": row, "labels": row} for row in ids])
        batch.pop("labels")
        given = {
            name: value.to(trainer.model.device) if isinstance(value, torch.Tensor) else value
            for name, value in batch.items()
        }
        with torch.no_grad(), trainer.compute_loss_context_manager():
            return trainer.model(**given, use_cache=False).logits[0, len(rows[0]) :].float()

    trainer.model.eval()
    one, other = logits(rows), logits(others)
    change: float = ((one - other).norm(dim=-1) / one.norm(dim=-1)).max().item()
    computed_in = torch.bfloat16 if trainer.args.bf16 else trainer.model.dtype
    # experts share their batches, so other rows round otherwise
    if not change <= torch.finfo(computed_in).eps ** 0.5:
        raise DataError(
            f"`padding_free`: rows of a batch see each other in this {trainer.model.config.model_type} model"
            f" (a row's logits change by {change:.0%} with the row before it), whose attention is"
            f" {trainer.model.config._attn_implementation}. Leave `padding_free` out;"
            " `train_sampling_strategy: group_by_length` pads less"
        )

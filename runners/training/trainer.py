"""What surrounds a trainer, alike for sft and dpo: arguments, checkpoints, metrics as they are logged, and
what is saved.

A killed attempt leaves whole checkpoints and metrics in the step's folder. The next one goes on from the last
checkpoint and forgets the metrics after it, so that its losses, and its rows, are those of a run that was
never killed.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.data.code_fingerprint import fingerprint
from dsl.data.records import TrainingFacts, TrainMetric
from dsl.errors import DataError, StepFailed
from dsl.steps.steps import DpoStep, SftStep
from dsl.steps.training_settings import Adapter, Training
from runners.inference.batch_model import forget_batch_models
from runners.models import memory
from runners.models.loading import ADAPTER, MODEL, POLICY, Loaded
from runners.store.step_io import (
    RowWriter,
    StepContext,
    StepResult,
    codes_of,
    reusable_rows,
    write_codes,
    write_json,
)
from runners.training.rows import Counts

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig
    from transformers import (
        PreTrainedModel,
        Trainer,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
    )

METRICS = "metrics.jsonl"
CHECKPOINTS = "trainer"
_SAMPLED = 100_000
"""Weights of a tensor that are looked at to tell the share that moved."""
_REMEDY = {
    False: "A smaller `learning_rate` may help",
    True: (
        "float16 holds no number above 65,504, and the model's do not stay below: take `dtype: bfloat16` or"
        " `float32`"
    ),
}
"""What to do about a loss that is no number; for weights in float16."""
_WHOLE = "whole"
"""A file put into a checkpoint's folder when everything else is in it."""


@contextlib.contextmanager
def memory_given_back() -> Iterator[None]:
    """Leave no trainer, optimiser or gradient behind for the worker's next step, nor find there what
    generating before it kept.

    What the block made must be out of reach when it ends.
    """
    forget_batch_models()
    try:
        yield
    finally:
        memory.give_back()


def has_bf16(device: str) -> bool:
    """Whether a device has instructions for bfloat16."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)


def uses_bf16(device: str, *, wanted: bool) -> bool:
    """Whether training computes in bfloat16: where it is asked for and the device (`cuda` or `cpu`) has it.

    Elsewhere it would be imitated, many times slower than float32, which is what is taken then.
    """
    return wanted and has_bf16(device)


def lora(adapter: Adapter | None, model: PreTrainedModel) -> LoraConfig | None:
    """PEFT's configuration of an adapter on the model; None trains all weights. Raises DataError where a
    target module is not there: PEFT passes over one of several without a word."""
    from peft import LoraConfig

    if adapter is None:
        return None
    modules = (
        adapter.target_modules if isinstance(adapter.target_modules, str) else list(adapter.target_modules)
    )
    if isinstance(modules, list):
        there = [
            name
            for name, module in model.named_modules()
            if getattr(getattr(module, "weight", None), "ndim", 0) == 2
        ]
        missing = [
            target for target in modules if not any(f".{name}".endswith(f".{target}") for name in there)
        ]
        if missing:
            head = model.get_output_embeddings()  # which TRL leaves to the base model
            found = ", ".join(
                sorted({name.rpartition(".")[2] for name in there if model.get_submodule(name) is not head})
            )
            raise DataError(
                f"`target_modules`: the model has no {' and no '.join(missing)}. An adapter can lie on:"
                f" {found}"
            )
    return LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.lora_alpha,
        lora_dropout=adapter.lora_dropout,
        target_modules=modules,
        task_type="CAUSAL_LM",
    )


def arguments(training: Training, loaded: Loaded, seed: int, out: Path) -> dict[str, Any]:
    """What `SFTConfig` and `DPOConfig` are both told. Rows arrive cut, so TRL is given no `max_length`."""
    from transformers import TrainingArguments

    settings = training.as_trl() | {"bf16": uses_bf16(loaded.device, wanted=training.bf16)}
    if (
        "activation_checkpointing" in TrainingArguments.__dataclass_fields__
    ):  # its name from transformers 5.23 on, TRL's docs have the old one
        settings["activation_checkpointing"] = settings.pop("gradient_checkpointing")
    return {
        **settings,
        "max_length": None,
        "output_dir": str(out / CHECKPOINTS),
        "seed": seed,
        "use_cpu": loaded.device == "cpu",
        "dataloader_pin_memory": loaded.device == "cuda",
        "save_strategy": "steps",
        "save_total_limit": 2,  # a whole one, and one being written
        "logging_strategy": "steps",
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }


def train(trainer: Trainer, step: SftStep | DpoStep, context: StepContext, out: Path) -> int:
    """Train to the end; the step it went on from, 0 for the beginning. Raises StepFailed when the loss is no
    longer a number."""
    from transformers import PrinterCallback

    checkpoint, resumed_from_step = _last_checkpoint(out)
    write_codes(out, {fingerprint(*step.code)} | (codes_of(out) if checkpoint else frozenset()))
    rows = [row for row in reusable_rows(out / METRICS, TrainMetric) if row.global_step <= resumed_from_step]
    (out / METRICS).unlink(missing_ok=True)
    with RowWriter(out / METRICS) as writer:
        for row in rows:
            writer.write(row)
        last = {row.name: row.value for row in rows}
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(
            _recorder(
                writer,
                context.report,
                last.get("seconds", 0.0),
                last.get("num_tokens", 0.0),
                trainer.model.dtype,
            )
        )
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return resumed_from_step


def check_rows_apart(trainer: Trainer) -> None:
    """Try whether rows of a batch that is not padded stay apart in the model: another first row must change
    nothing in those behind it.

    Raises DataError where it does. Attention whose mask knows no rows (BLOOM, Falcon), sinks and recurrent
    layers let the rows see each other; with flash attention the same model may keep them apart, so it is
    tried and no list is kept.
    """
    import torch

    vocabulary = trainer.model.config.get_text_config(decoder=True).vocab_size
    rows = [[(7 * at + row) % vocabulary for at in range(length)] for row, length in enumerate((23, 11, 17))]
    others = [[(token + vocabulary // 2) % vocabulary for token in rows[0]], *rows[1:]]

    def logits(ids: list[list[int]]) -> torch.Tensor:
        given = trainer.data_collator([{"input_ids": row, "labels": row} for row in ids])
        given.pop("labels")
        given = {
            name: value.to(trainer.model.device) if isinstance(value, torch.Tensor) else value
            for name, value in given.items()
        }
        with torch.no_grad(), trainer.compute_loss_context_manager():
            return trainer.model(**given, use_cache=False).logits[0, len(rows[0]) :].float()

    trainer.model.eval()
    one, other = logits(rows), logits(others)
    change = ((one - other).norm(dim=-1) / one.norm(dim=-1)).max().item()
    computed_in = torch.bfloat16 if trainer.args.bf16 else trainer.model.dtype
    # experts share their batches, so other rows round otherwise
    if not change <= torch.finfo(computed_in).eps ** 0.5:
        raise DataError(
            f"`padding_free`: rows of a batch see each other in this {trainer.model.config.model_type} model"
            f" (a row's logits change by {change:.0%} with the row before it), whose attention is"
            f" {trainer.model.config._attn_implementation}. Leave `padding_free` out;"
            " `train_sampling_strategy: group_by_length` pads less"
        )


def weights_of(model: PreTrainedModel, dtype: str) -> dict[str, torch.Tensor]:
    """Up to 100,000 weights of each tensor, evenly spaced, in a `dtype`: enough to tell the share that
    training moved."""
    import torch

    as_used = getattr(torch, dtype)
    return {
        name: weight.detach().flatten()[:: weight.numel() // _SAMPLED + 1].to("cpu", as_used, copy=True)
        for name, weight in model.named_parameters()
    }


def save(trainer: Trainer, adapter: Adapter | None, out: Path, policy: Path | None = None) -> None:
    """Leave in `out` what `models.load` reads, `policy` being the folder of the step that training began
    with; checkpoints go."""
    if adapter is None:
        trainer.model.save_pretrained(out / MODEL)
    else:
        # what the adapter lies on stays as it is
        trainer.model.save_pretrained(out / ADAPTER, save_embedding_layers=False)
    if policy is not None and adapter is not None:
        shutil.rmtree(out / POLICY, ignore_errors=True)  # left by a killed attempt
        for name in (POLICY, MODEL, ADAPTER):
            if (policy / name).is_dir():
                shutil.copytree(policy / name, out / POLICY / name, copy_function=_link)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)


def made(
    trainer: Trainer,
    loaded: Loaded,
    counts: Counts,
    resumed_from_step: int,
    out: Path,
    before: Mapping[str, torch.Tensor],
    reference_model: str | None = None,
) -> StepResult:
    """What was counted, also as `facts.json`. `before`: weights as they were, where all of them were
    trained."""
    facts = TrainingFacts(
        n_rows=counts.n_rows,
        n_truncated=counts.n_truncated,
        n_border_merges=counts.n_border_merges,
        n_tokens=counts.n_tokens,
        n_trainable_parameters=sum(
            weight.numel() for weight in trainer.model.parameters() if weight.requires_grad
        ),
        n_parameters=loaded.n_parameters,
        share_moved=_share_moved(before, trainer.model) if before else None,
        reference_model=reference_model,
    )
    write_json(out / "facts.json", facts)
    more = {
        "n_without_answer": counts.n_without_answer,
        "n_dropped": counts.n_dropped,
        "n_equal": counts.n_equal,
        "n_unlike_template": counts.n_unlike_template,
        "max_length": counts.max_length,
        "answer_end": counts.answer_end,
        "remedies": "; ".join(loaded.remedies) or None,
        "mean_answer_tokens": sum(counts.answer_lengths) / len(counts.answer_lengths),
        "global_step": trainer.state.global_step,
        "resumed_from_step": resumed_from_step,
        "device": loaded.device,
        "dtype": loaded.dtype,
        "bf16": trainer.args.bf16,
        "commit": loaded.commit,
    }
    return StepResult(
        n_rows=counts.n_rows,
        n_of_other_code=resumed_from_step if len(codes_of(out)) > 1 else 0,
        load_seconds=loaded.load_seconds,
        facts={**facts.model_dump(), **more},
    )


def _share_moved(before: Mapping[str, torch.Tensor], model: PreTrainedModel) -> float:
    """Share of all weights, each tensor's by its sample."""
    dtype = str(next(iter(before.values())).dtype).removeprefix("torch.")
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    moved = {
        name: (weights != before[name]).double().mean().item()
        for name, weights in weights_of(model, dtype).items()
    }
    return sum(sizes[name] * moved[name] for name in sizes) / sum(sizes.values())


def _last_checkpoint(out: Path) -> tuple[Path | None, int]:
    """The newest whole checkpoint of an earlier attempt, and its step; half-written ones are removed."""
    newest, step = None, 0
    for folder in (out / CHECKPOINTS).glob("checkpoint-*"):
        number = int(folder.name.removeprefix("checkpoint-"))
        if not (folder / _WHOLE).exists():
            shutil.rmtree(folder)
        elif number > step:
            newest, step = folder, number
    return newest, step


def _recorder(
    writer: RowWriter, report: Callable[[int, int], None], seconds: float, n_tokens: float, dtype: torch.dtype
) -> TrainerCallback:
    """Writes metrics as TRL logs them, with `seconds` and `num_tokens` going on from an earlier attempt's,
    and marks whole checkpoints."""
    import torch
    from transformers import TrainerCallback

    class Recorder(TrainerCallback):
        began = time.perf_counter()

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            self.began = time.perf_counter()

        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            report(state.global_step, state.max_steps)

        def on_log(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            logs: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> None:
            if not logs or "loss" not in logs:  # the summary after the last step
                return
            values = {name: float(value) for name, value in logs.items()}
            if not math.isfinite(values["loss"]):
                raise StepFailed(
                    f"the loss is {values['loss']} at step {state.global_step}."
                    f" {_REMEDY[dtype == torch.float16]}"
                )
            values["seconds"] = seconds + time.perf_counter() - self.began
            values["num_tokens"] = n_tokens + values["num_tokens"]  # TRL counts those of this attempt
            for name, value in values.items():
                if math.isfinite(value):
                    writer.write(TrainMetric(global_step=state.global_step, name=name, value=value))

        def on_save(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / _WHOLE).touch()

    return Recorder()


def _link(source: str, target: str) -> None:
    """A second name for a file where the file system allows it: full weights are large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

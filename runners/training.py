"""What surrounds a trainer, alike for sft and dpo: arguments, checkpoints, metrics as they are logged, and what is saved.

A killed attempt leaves whole checkpoints and metrics in the step's folder. The next one goes on from the last checkpoint and forgets the
metrics after it, so that its losses, and its rows, are those of a run that was never killed.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsl.errors import StepFailed
from dsl.models import Adapter, Training
from dsl.records import TrainingFacts, TrainMetric
from runners import memory
from runners.decoding.reader import forget_readers
from runners.models import ADAPTER, MODEL, POLICY, Loaded
from runners.training_rows import Counts
from runners.work import Inputs, Made, RowWriter, read_rows, write_json

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

METRICS = "metrics.jsonl"
CHECKPOINTS = "trainer"
_WHOLE = "whole"
"""A file put into a checkpoint's folder when everything else is in it."""


@contextlib.contextmanager
def memory_given_back() -> Iterator[None]:
    """Leave no trainer, optimiser or gradient behind for the worker's next step, nor find there what generating before it kept.

    What the block made must be out of reach when it ends.
    """
    forget_readers()
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


def lora(adapter: Adapter | None) -> LoraConfig | None:
    """PEFT's configuration of an adapter; None trains all weights."""
    from peft import LoraConfig

    if adapter is None:
        return None
    modules = adapter.target_modules if isinstance(adapter.target_modules, str) else list(adapter.target_modules)
    return LoraConfig(
        r=adapter.r, lora_alpha=adapter.lora_alpha, lora_dropout=adapter.lora_dropout, target_modules=modules, task_type="CAUSAL_LM"
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


def train(trainer: Trainer, inputs: Inputs, out: Path) -> int:
    """Train to the end; the step it went on from, 0 for the beginning. Raises StepFailed when the loss is no longer a number."""
    from transformers import PrinterCallback

    checkpoint, step = _last_checkpoint(out)
    rows = [row for row in read_rows(out / METRICS, TrainMetric) if row.global_step <= step]
    (out / METRICS).unlink(missing_ok=True)
    with RowWriter(out / METRICS) as writer:
        for row in rows:
            writer.write(row)
        last = {row.name: row.value for row in rows}
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_recorder(writer, inputs.report, last.get("seconds", 0.0), last.get("num_tokens", 0.0)))
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return step


def save(trainer: Trainer, adapter: Adapter | None, out: Path, policy: Path | None = None) -> None:
    """Leave in `out` what `models.load` reads, `policy` being the folder of the step that training began with; checkpoints go."""
    trainer.model.save_pretrained(out / (MODEL if adapter is None else ADAPTER))
    if policy is not None and adapter is not None:
        shutil.rmtree(out / POLICY, ignore_errors=True)  # left by a killed attempt
        for name in (POLICY, MODEL, ADAPTER):
            if (policy / name).is_dir():
                shutil.copytree(policy / name, out / POLICY / name, copy_function=_link)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)


def made(trainer: Trainer, loaded: Loaded, counts: Counts, resumed_from_step: int, out: Path, reference_model: str | None = None) -> Made:
    """What was counted, also as `facts.json`."""
    facts = TrainingFacts(
        n_rows=counts.n_rows,
        n_truncated=counts.n_truncated,
        n_border_merges=counts.n_border_merges,
        n_tokens=counts.n_tokens,
        n_trainable_parameters=sum(weight.numel() for weight in trainer.model.parameters() if weight.requires_grad),
        n_parameters=loaded.n_parameters,
        reference_model=reference_model,
    )
    write_json(out / "facts.json", facts)
    more = {
        "n_without_answer": counts.n_without_answer,
        "n_dropped": counts.n_dropped,
        "mean_answer_tokens": sum(counts.answer_lengths) / len(counts.answer_lengths),
        "global_step": trainer.state.global_step,
        "resumed_from_step": resumed_from_step,
        "device": loaded.device,
        "dtype": loaded.dtype,
        "bf16": trainer.args.bf16,
        "commit": loaded.commit,
    }
    return Made(n_rows=counts.n_rows, load_seconds=loaded.load_seconds, facts={**facts.model_dump(), **more})


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


def _recorder(writer: RowWriter, report: Callable[[int, int], None], seconds: float, n_tokens: float) -> TrainerCallback:
    """Writes metrics as TRL logs them, with `seconds` and `num_tokens` going on from an earlier attempt's, and marks whole checkpoints."""
    from transformers import TrainerCallback

    class Recorder(TrainerCallback):
        began = time.perf_counter()

        def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            report(state.global_step, state.max_steps)

        def on_log(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, Any] | None = None, **kwargs: Any
        ) -> None:
            if not logs or "loss" not in logs:  # the summary after the last step
                return
            values = {name: float(value) for name, value in logs.items()}
            if not math.isfinite(values["loss"]):
                raise StepFailed(f"the loss is {values['loss']} at step {state.global_step}. A smaller `learning_rate` may help")
            values["seconds"] = seconds + time.perf_counter() - self.began
            values["num_tokens"] = n_tokens + values["num_tokens"]  # TRL counts those of this attempt
            for name, value in values.items():
                if math.isfinite(value):
                    writer.write(TrainMetric(global_step=state.global_step, name=name, value=value))

        def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
            (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / _WHOLE).touch()

    return Recorder()


def _link(source: str, target: str) -> None:
    """A second name for a file where the file system allows it: full weights are large."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

"""Callback of a trainer: metrics as they are logged, progress, and marks on whole checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dsl.data.records import TrainMetric
from dsl.errors import StepFailed
from runners.store import spending
from runners.store.step_io import RowWriter

if TYPE_CHECKING:
    import torch
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_REMEDY = {
    False: "A smaller `learning_rate` may help",
    True: (
        "float16 holds no number above 65,504, and the model's do not stay below: take `dtype: bfloat16` or"
        " `float32`"
    ),
}
"""Advice on a loss that is no number, by whether the weights are in float16."""
_NOT_MEASURED = ("_runtime", "_per_second", "eval_num_tokens")
"""Endings of what is logged with an evaluation and is no measure of the model."""
WHOLE = "whole"
"""A file put into a checkpoint's folder when everything else is in it."""


def recorder(
    writer: RowWriter, report: Callable[[int, int], None], seconds: float, n_tokens: float, dtype: torch.dtype
) -> TrainerCallback:
    """Return a callback that writes metrics as TRL logs them, and marks whole checkpoints.

    `seconds` and `n_tokens` are those of an earlier attempt, from which they go on.
    """
    import torch
    from accelerate import PartialState  # pyright: ignore[reportMissingTypeStubs]
    from transformers import TrainerCallback

    class Recorder(TrainerCallback):
        began = time.perf_counter()
        diverged_at_step: int | None = None
        """The step at which the loss was no number any more, after an evaluation whose weights are kept."""

        def on_train_begin(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            self.began = time.perf_counter()

        def on_step_end(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            report(state.global_step, state.max_steps)
            # of several processes, one may see it before the others; they look after each checkpoint alone
            if cast(Any, args).world_size == 1 and not control.should_training_stop and spending.is_spent():
                control.should_save = True

        def on_log(
            self,
            args: TrainingArguments,
            state: TrainerState,
            control: TrainerControl,
            logs: dict[str, Any] | None = None,
            **kwargs: Any,
        ) -> None:
            loss = next((name for name in ("loss", "eval_loss") if name in (logs or {})), None)
            if not logs or loss is None:  # the summary after the last step
                return
            values = {name: float(value) for name, value in logs.items() if not name.endswith(_NOT_MEASURED)}
            if not math.isfinite(values[loss]):
                if args.load_best_model_at_end and state.best_metric is not None:
                    self.diverged_at_step = self.diverged_at_step or state.global_step
                    control.should_training_stop = True  # the best weights are kept
                    return
                raise StepFailed(
                    f"the {loss} is {values[loss]} at step {state.global_step}."
                    f" {_REMEDY[dtype == torch.float16]}"
                )
            if loss == "loss":
                values["seconds"] = seconds + time.perf_counter() - self.began
                values["num_tokens"] = n_tokens + values["num_tokens"]  # TRL counts those of this attempt
            else:
                values.pop("epoch", None)  # which is logged with the loss
            for name, value in values.items():
                if math.isfinite(value):
                    writer.write(TrainMetric(global_step=state.global_step, name=name, value=value))

        def on_save(
            self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
        ) -> None:
            PartialState().wait_for_everyone()  # each process has its part of a checkpoint
            # whoever goes on from the last one would train a step more
            if not control.should_training_stop:
                (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / WHOLE).touch()
                spending.check()

    return Recorder()

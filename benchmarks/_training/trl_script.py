"""The peer: a script with TRL and nothing else, as its documentation has it. It reads its settings and writes
each step's loss.

python -m benchmarks._training.trl_script job.json
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> None:
    """`job`: `method` (sft or dpo), `model` and `rows` (a folder and a JSON lines file), `arguments` of TRL's
    config, `lora`, `out`."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    config, trainer_class = {"sft": (SFTConfig, SFTTrainer), "dpo": (DPOConfig, DPOTrainer)}[job["method"]]
    trainer = trainer_class(
        model=job["model"],
        args=config(
            **job["arguments"],
            output_dir=f"{job['out']}/checkpoints",
            model_init_kwargs={"dtype": "float32"},
            use_cpu=job["use_cpu"],
            dataloader_pin_memory=not job["use_cpu"],
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [json.loads(line) for line in Path(job["rows"]).read_text("utf-8").splitlines()]
        ),
        peft_config=LoraConfig(**job["lora"], task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model(f"{job['out']}/adapter")
    losses = [logged["loss"] for logged in trainer.state.log_history if "loss" in logged]
    Path(job["out"], "losses.json").write_text(json.dumps(losses), "utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))

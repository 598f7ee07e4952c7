"""A tuned model as one folder of weights, for servers that take no such adapter.

    python -m runners.models.merged_weights FOLDER

merges in a process of its own, whose memory is free again before a server is started.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dsl.engines.transformers import Weights
from dsl.errors import XpError
from dsl.messages import one_line
from dsl.values import Value
from runners.models.loading import ADAPTER, MODEL, layers_of
from runners.models.weight_files import made_once
from runners.store.step_io import tuned_weights

_VERSION = 1
"""Part of the name of merged weights: raise it when merging changes."""


_NOT_PLAIN = (
    *("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "trainable_token_indices"),
    *("lora_bias", "layer_replication", "alora_invocation_tokens"),
)
"""Settings of PEFT's LoraConfig for more than a LoRA of one rank."""


class _Asked(Value):
    weights: Weights
    tuned: Path
    cache: Path


def plain_adapter(tuned: Path, rank: int) -> Path | None:
    """Return the folder of the one LoRA adapter of at most this rank that a tuned model is; None where it is
    more, or something else.

    Servers take LoRA matrices of linear layers alone: no adapter on another one, no DoRA, and no layer that
    is saved as a whole or holds the embedding.
    """
    layers = list(layers_of(tuned))
    if len(layers) != 1 or layers[0].name != ADAPTER:
        return None
    config = json.loads((layers[0] / "adapter_config.json").read_text("utf-8"))
    modules = config.get("target_modules") or ()
    names = [modules] if isinstance(modules, str) else [*modules]
    is_plain = (
        config.get("peft_type") == "LORA"
        and config.get("bias", "none") == "none"
        and config.get("r", 0) <= rank
        and not any(config.get(name) for name in _NOT_PLAIN)
        and not any(part in name for name in names for part in ("embed", "lm_head"))
    )
    return layers[0] if is_plain else None


def merged_folder(weights: Weights, tuned: Path, cache: Path) -> Path:
    """Return a folder of a tuned model's weights: its own where it was trained in full, else one that its
    adapters are merged into, made now if it is not there.

    Raises XpError where that fails.
    """
    *_, last = layers_of(tuned)
    if last.name == MODEL:
        return last
    named = [weights.model_dump_json(exclude={"path", "batch_size"}), *tuned_weights(tuned), str(_VERSION)]
    folder = cache / "models" / hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]
    modules = os.pathsep.join(path for path in sys.path if path)  # the same as here
    with made_once(folder) as aside:
        if aside is not None:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "runners.models.merged_weights", str(aside)],
                input=_Asked(
                    weights=weights, tuned=tuned.absolute(), cache=cache.absolute()
                ).model_dump_json(),
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": modules, "CUDA_VISIBLE_DEVICES": ""},
                check=False,
            )
            if done.returncode != 0:
                last = done.stderr.strip().rpartition("\n")[2]
                raise XpError(f"its adapters could not be merged: {one_line(last)}")
    return folder


def main() -> None:
    from runners.models import loading

    asked, folder = _Asked.model_validate_json(sys.stdin.read()), Path(sys.argv[1])
    model: Any = loading.load(asked.weights, asked.tuned, asked.cache).model
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()

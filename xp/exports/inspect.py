"""Logs of Inspect, one for each cell, that `inspect view` opens (version 2 of the form, `.eval`).

An unscored verdict is Inspect's own NaN with its reason. Equal results give equal bytes.
"""

import hashlib
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xp.exports.contract import Answer, Cell, cells_of

_STOP = {"length": "max_tokens", "error": "unknown", "missing": "unknown"}
"""Finish reasons that Inspect knows under other names; all others are `stop`."""


def write(warehouse: Path, experiment: str, out: Path) -> Iterator[tuple[Path, str]]:
    for cell in cells_of(warehouse, experiment):
        name = cell.stem().replace("_", "-")  # Inspect divides file names at `_`
        path = out / f"{cell.started_at:%Y-%m-%dT%H-%M-%S}-00-00_{name}_{_id(cell, 'task')}.eval"
        samples = [_sample(cell, answer) for answer in cell.answers]
        header = _header(cell)
        members = {
            "_journal/start.json": {name: header[name] for name in ("version", "eval", "plan")},
            **{f"samples/{i}_epoch_1.json": sample for i, sample in zip(_items(cell), samples, strict=True)},
            "summaries.json": [_summary(sample) for sample in samples],
            "header.json": header,
        }
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                # without the time of writing
                archive.writestr(zipfile.ZipInfo(name), _json(content), zipfile.ZIP_DEFLATED)
        yield path, f"{len(samples)} samples"


def _items(cell: Cell) -> list[str]:
    return [str(answer.row["item"]) for answer in cell.answers]


def _id(cell: Cell, of: str) -> str:
    """Return 22 characters, as Inspect's short identifiers have."""
    return hashlib.sha256(f"{cell.cell_id} {of}".encode()).hexdigest()[:22]


def _header(cell: Cell) -> dict[str, Any]:
    time = cell.started_at.isoformat(timespec="seconds")
    config = _config(cell)
    eval_spec = {
        "eval_id": _id(cell, "eval"),
        "run_id": _id(cell, "run"),
        "created": time,
        "task": cell.task,
        "task_id": _id(cell, "task"),
        "task_version": 0,
        "task_display_name": f"{cell.task} {cell.language} {cell.method}",
        "task_args": cell.coordinates,
        "tags": [cell.language, cell.method],
        "dataset": {
            "name": cell.task,
            "samples": len(cell.answers),
            "sample_ids": _items(cell),
            "shuffled": False,
        },
        "model": cell.model,
        "model_generate_config": config,
        "model_args": dict(cell.model_settings),
        "config": {"epochs": 1},
        "packages": {"xp-lab": cell.version},
        "metadata": {"cell_id": cell.cell_id, "num_parameters": cell.num_parameters},
    }
    return {
        "version": 2,
        "status": "success",
        "eval": eval_spec,
        "plan": {"name": cell.method, "steps": [{"solver": "generate", "params": {}}], "config": config},
        "results": {
            "total_samples": len(cell.answers),
            "completed_samples": sum(answer.row["text"] is not None for answer in cell.answers),
            "scores": [_score(row) for row in cell.scores],
        },
        "stats": {
            "started_at": time,
            "completed_at": time,
            "model_usage": {},
        },
    }


def _config(cell: Cell) -> dict[str, Any]:
    """Return the decoding under Inspect's names."""
    decoding = cell.decoding
    if not decoding:
        return {}
    found = {"max_tokens": decoding.get("max_new_tokens")}
    if decoding.get("source") != "model":
        found |= {name: decoding.get(name) for name in ("temperature", "top_p")}
        found |= {"top_k": decoding.get("top_k") or None}
    return {name: value for name, value in found.items() if value is not None}


def _score(row: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {"mean": row["mean_score"], "stderr": row["standard_error"]}
    return {
        "name": row["measure"],
        "scorer": row["judge"],
        "scored_samples": row["n"],
        "unscored_samples": row["n_unscored"],
        "params": {},
        "metrics": {
            name: {"name": name, "value": math.nan if value is None else value, "params": {}}
            for name, value in metrics.items()
        },
    }


def _sample(cell: Cell, answer: Answer) -> dict[str, Any]:
    row = answer.row
    said = {"role": "assistant", "content": row["text"], "source": "generate", "model": cell.model}
    asked = {"role": "user", "content": row["prompt"] or row["instruction"] or "", "source": "input"}
    choices = [{"message": said, "stop_reason": _STOP.get(row["finish_reason"], "stop")}]
    found = {
        "id": row["item"],
        "epoch": 1,
        "input": row["instruction"] or "",
        "target": list(row["accepted_answers"] or ()) or row["reference"] or "",
        "messages": [asked, said] if row["text"] is not None else [asked],
        "output": {"model": cell.model, "choices": choices if row["text"] is not None else []},
        "scores": {verdict["measure"]: _verdict(verdict) for verdict in answer.verdicts},
        "metadata": {
            name: row[name] for name in ("category", "finish_reason", "stop_string", "raw_text") if row[name]
        },
    }
    if row["text"] is None:
        why = row["error"] or "no answer"
        found["error"] = {"message": why, "traceback": why, "traceback_ansi": why}
    return found


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    is_scored = verdict["score"] is not None
    found = {
        "value": verdict["score"] if is_scored else math.nan,
        "explanation": verdict["reason"],
        "reason": None if is_scored else verdict["unscored_reason"],
        "metadata": {
            name: verdict[name]
            for name in ("against", "raw", "scale_low", "scale_high")
            if verdict[name] is not None
        },
    }
    return {name: value for name, value in found.items() if value not in (None, {})}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "epoch", "input", "target", "scores")
    error = sample.get("error")
    return {
        **{name: sample[name] for name in names},
        "completed": True,
        **({} if error is None else {"error": error["message"]}),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

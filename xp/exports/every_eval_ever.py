"""Records of Every Eval Ever (schema 0.3.0): an aggregate for each cell and a file of its items beside it.

They lie in the folders of its data store, `data/<dataset>/<developer>/<model>/<uuid>.json`. The schema asks
for `is_correct`: it is true of the highest score of a scale. It has no item without a score: the aggregate
says how many verdicts are unscored.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xp.exports.contract import Answer, Cell, cells_of

SCHEMA = "0.3.0"


def write(warehouse: Path, experiment: str, out: Path) -> Iterator[tuple[Path, str]]:
    for cell in cells_of(warehouse, experiment):
        scored = {row["measure"]: row for row in cell.scores if row["n"]}
        if not scored:
            yield out, f"nothing of {cell.stem()} {cell.model}: it has no score, and a record needs one"
            continue
        model_id = _model_id(cell)
        timestamp = str(int(cell.started_at.timestamp()))
        evaluation_id = f"{cell.stem()}/{model_id}/{timestamp}"
        developer, _, name = model_id.partition("/")
        folder = Path("data", _component(cell.task), _component(developer), _component(name))
        stem = str(uuid.UUID(bytes=hashlib.sha256(cell.cell_id.encode()).digest()[:16], version=4))
        items = "".join(
            json.dumps(item) + "\n"
            for answer in cell.answers
            for item in _items(cell, answer, model_id, evaluation_id)
        )
        record = {
            "schema_version": SCHEMA,
            "evaluation_id": evaluation_id,
            "evaluation_timestamp": timestamp,
            "retrieved_timestamp": timestamp,
            "source_metadata": {
                "source_name": cell.experiment,
                "source_type": "evaluation_run",
                "source_organization_name": "unknown",
                "evaluator_relationship": "other",
            },
            "eval_library": {"name": "xp", "version": cell.version},
            "model_info": _model(cell, model_id),
            "evaluation_results": [_result(cell, row) for row in scored.values()],
            "detailed_evaluation_results": {
                "format": "jsonl",
                "file_path": (folder / f"{stem}_samples.jsonl").as_posix(),
                "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(items.encode()).hexdigest(),
                "total_rows": items.count("\n"),
            },
        }
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / folder / f"{stem}_samples.jsonl").write_text(items, "utf-8")
        path = out / folder / f"{stem}.json"
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
        unscored = [str(row["measure"]) for row in cell.scores if not row["n"]]
        without = f"; not written, since without a score: {', '.join(unscored)}" if unscored else ""
        n = sum(row["n_unscored"] for row in scored.values())
        if n:
            without += f"; {n} verdicts without a score have no row of items, and are counted in the record"
        yield path, f"{len(scored)} measures of {len(cell.answers)} answers{without}"


def _model_id(cell: Cell) -> str:
    """Return `<developer>/<name>`, as the hub has it; models without a developer are `local`."""
    name = str(cell.model_settings.get("hub") or cell.model_settings.get("name") or cell.model)
    name = name.replace("__", "/", 1)  # as imports and lm-evaluation-harness write a `/`
    return name if "/" in name else f"local/{name}"


def _component(text: str) -> str:
    """Return a name of a folder on any system."""
    return re.sub(r"[^A-Za-z0-9_.\-]+", "_", text).strip(".") or "unnamed"


def _model(cell: Cell, model_id: str) -> dict[str, Any]:
    details = {
        "deployment_type": "unknown",
        "model_availability": "open_weights" if cell.model_settings.get("hub") else "unknown",
        **{name: str(value) for name, value in cell.model_settings.items()},
    }
    if cell.num_parameters is not None:
        details["num_parameters"] = str(cell.num_parameters)
    return {
        "name": cell.model,
        "id": model_id,
        "developer": model_id.partition("/")[0],
        "inference_engine": {"name": str(cell.model_settings.get("engine", "unknown"))},
        "additional_details": details,
    }


def _result(cell: Cell, row: Mapping[str, Any]) -> dict[str, Any]:
    measure = str(row["measure"])
    verdicts = [v for answer in cell.answers for v in answer.verdicts if v["measure"] == measure]
    low, high = verdicts[0]["scale_low"], verdicts[0]["scale_high"]
    is_binary = (low, high) == (0, 1) and {v["score"] for v in verdicts} <= {0, 1, None}
    kind = "binary" if is_binary else "continuous"
    scale = {} if low is None or high is None else {"score_type": kind, "min_score": low, "max_score": high}
    metric = {
        "evaluation_description": f"{measure}, a judge of the kind {verdicts[0]['judge_kind']}",
        "metric_id": measure,
        "metric_name": measure,
        "lower_is_better": False,
        **scale,
        "additional_details": {"role": str(verdicts[0]["role"])},
    }
    error = row["standard_error"]
    uncertainty: dict[str, Any] = {"num_samples": row["n"]}
    if error is not None:
        uncertainty["standard_error"] = {"value": error, "method": "analytic"}
    if row["ci_low"] is not None and row["ci_high"] is not None:
        interval = {"lower": row["ci_low"], "upper": row["ci_high"], "confidence_level": 0.95}
        uncertainty["confidence_interval"] = interval
    return {
        "evaluation_result_id": measure,
        "evaluation_name": f"{cell.stem()}/{measure}",
        "source_data": {"dataset_name": cell.task, "source_type": "other"},
        "metric_config": metric,
        "score_details": {
            "score": row["mean_score"],
            "details": {"n": str(row["n"]), "n_unscored": str(row["n_unscored"])},
            "uncertainty": uncertainty,
        },
        "generation_config": _generation(cell),
    }


def _generation(cell: Cell) -> dict[str, Any]:
    decoding = cell.decoding
    named = {"max_tokens": decoding.get("max_new_tokens")}
    if decoding.get("source") != "model":
        named |= {name: decoding.get(name) for name in ("temperature", "top_p", "top_k")}
    arguments = {name: value for name, value in named.items() if value is not None}
    return {"generation_args": arguments, "additional_details": cell.coordinates}


def _items(cell: Cell, answer: Answer, model_id: str, evaluation_id: str) -> Iterator[dict[str, Any]]:
    """One row for each score of an answer."""
    row = answer.row
    reference = list(row["accepted_answers"] or ()) or ([row["reference"]] if row["reference"] else [])
    asked = row["instruction"] or ""
    for verdict in answer.verdicts:
        if verdict["score"] is None:
            continue
        yield {
            "schema_version": SCHEMA,
            "evaluation_id": evaluation_id,
            "model_id": model_id,
            "evaluation_name": f"{cell.stem()}/{verdict['measure']}",
            "evaluation_result_id": verdict["measure"],
            "sample_id": row["item"],
            "sample_hash": hashlib.sha256((asked + "".join(reference)).encode()).hexdigest(),
            "interaction_type": "single_turn",
            "input": {"raw": asked, "formatted": row["prompt"], "reference": reference},
            "output": {"raw": [] if row["text"] is None else [row["text"]]},
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": row["text"] or "",
                    "extraction_method": str(verdict["judge_kind"]),
                    "is_terminal": True,
                }
            ],
            "evaluation": {
                "score": verdict["score"],
                "is_correct": verdict["scale_high"] is not None and verdict["score"] >= verdict["scale_high"],
            },
            "error": row["error"],
            "metadata": {
                name: str(value)
                for name, value in (
                    ("reason", verdict["reason"]),
                    ("category", row["category"]),
                    ("finish_reason", row["finish_reason"]),
                )
                if value
            },
        }

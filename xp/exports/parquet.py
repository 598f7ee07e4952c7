"""Parquet files of a study's answers and verdicts, described in Croissant 1.0 (JSON-LD, MLCommons)."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from warehouse.connect import connect
from warehouse.query import run
from warehouse.statements import fetch

ROWS = {
    "completions": "shown_answers",
    "verdicts": "(select * exclude (is_replicate) from verdicts where not is_replicate)",
}
"""File -> the rows it holds."""

DESCRIPTIONS = {
    "completions": "One row per cell and item: the question, the prompt and the answer.",
    "verdicts": "One row per cell, item and measure: a score, or the reason there is none.",
}

_TYPES = {
    "double": "sc:Float",
    "int64": "sc:Integer",
    "bool": "sc:Boolean",
    "decimal128(38, 0)": "sc:Integer",
}

_TERMS = """citeAs column equivalentProperty extract field fileObject fileProperty fileSet format includes
isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate
separator source subField transform"""

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}
"""The context that Croissant 1.0 prescribes."""


def write(warehouse: Path, experiment: str, out: Path) -> Iterator[tuple[Path, str]]:
    with connect(warehouse, read_only=True) as connection:
        (study,) = fetch(connection, "from experiments where experiment = ?", [experiment])
    files: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    for name, rows_of in ROWS.items():
        path = out / f"{name}.parquet"
        with path.open("wb") as file:  # the name of a study holds no quote
            run(warehouse, f"from {rows_of} where experiment = '{experiment}' order by all", "parquet", file)
        rows, fields = _columns(path, name)
        files.append(_file(path, name))
        records.append(
            {
                "@type": "cr:RecordSet",
                "@id": name,
                "name": name,
                "description": DESCRIPTIONS[name],
                "field": fields,
            }
        )
        yield path, f"{rows} rows"
    about = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": experiment,
        "description": study["question"] or f"Answers and verdicts of the study {experiment}.",
        "distribution": files,
        "recordSet": records,
    }
    path = out / "croissant.json"
    path.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
    yield path, "the description of both"


def _file(path: Path, name: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": f"{name}-file",
        "name": f"{name}-file",
        "contentUrl": path.name,
        "encodingFormat": "application/x-parquet",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _columns(path: Path, name: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the number of rows, and the columns as Croissant's fields."""
    import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]

    about: Any = cast(Any, parquet).ParquetFile(path)
    fields: list[dict[str, Any]] = []
    for column in about.schema_arrow:
        kind = str(column.type)
        is_list = kind.startswith("list<")
        fields.append(
            {
                "@type": "cr:Field",
                "@id": f"{name}/{column.name}",
                "name": column.name,
                "dataType": _TYPES.get(kind, "sc:Text"),
                **({"repeated": True} if is_list else {}),
                "source": {"fileObject": {"@id": f"{name}-file"}, "extract": {"column": column.name}},
            }
        )
    return about.metadata.num_rows, fields

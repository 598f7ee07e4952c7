"""The JSON Schema of a spec, for editors: what stands under a field in the code is the field's description."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from dsl.spec import Experiment


def schema_text() -> str:
    """The JSON Schema of a spec (draft 2020-12)."""
    schema = Experiment.model_json_schema(schema_generator=_Described)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "xp study"
    schema["properties"]["extends"] = {"type": "string", "description": "Another spec in the same folder, which this one is laid over."}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


class _Described(GenerateJsonSchema):
    """Reads descriptions from the sources. Pydantic would do it whenever a class is made, which takes a fifth of the time of a plan."""

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        made, cls = super().model_schema(schema), schema["cls"]
        described = _described(cls)
        for name, field in cls.model_fields.items():
            if name in described:
                made["properties"][field.alias or name].setdefault("description", described[name])
        return made


def _described(cls: type[BaseModel]) -> dict[str, str]:
    """Field -> the text under it, or under the field of the same name in the nearest base class that has one."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= dict(_texts(base))
    return found


def _texts(cls: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    for statements in pairwise(tree.body):
        match statements:
            case (ast.AnnAssign(target=ast.Name(id=field)), ast.Expr(value=ast.Constant(value=str(text)))):
                yield field, inspect.cleandoc(text)
            case _:
                pass

"""The JSON Schema of a spec, for editors: the string under a field in the code is its description."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from dsl.spec.experiment import Experiment
from dsl.yaml.descriptions import described

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The JSON Schema of a spec (draft 2020-12)."""
    schema = Experiment.model_json_schema(schema_generator=Described)
    schema["$schema"] = DIALECT
    schema["title"] = "xp study"
    for setting in schema["properties"].values():
        for name, value in setting.get("patternProperties", {}).items():
            # a study that is laid over another one takes entries of it away so
            setting["patternProperties"][name] = {"anyOf": [value, {"type": "null"}]}
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another spec in the same folder, which this one is laid over.",
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


class Described(GenerateJsonSchema):
    """With the descriptions that stand in the code."""

    def model_schema(self, schema: Any) -> JsonSchemaValue:
        made, cls = super().model_schema(schema), schema["cls"]
        texts = described(cls)
        for name, field in cls.model_fields.items():
            if name in texts:
                made["properties"][field.alias or name].setdefault("description", texts[name])
        return made

"""Rates of finished steps: every kind and every model is among them, however many steps a store has."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from warehouse.connect import WAREHOUSE, connect
from warehouse.rates import bytes_per_token, step_costs

STEPS = """
insert into steps by name
select
    format('{}-{:016x}', $kind, i) as step_id,
    $kind as kind,
    json_object('model', json_object('name', $model)) as settings,
    1.0 as seconds, 0.0 as start_seconds, 0.0 as load_seconds, 1 as n_rows, 0 as n_reused,
    '{}' as versions, '{}' as facts, '' as code, '' as outcome_sha256
from range($first, $first + $n) as numbers(i)
"""

ANSWERS = """
insert into step_completions by name
select
    step_id, 'q' || i as item, 'en' as language, [] as turns, $prompt as prompt_id, 'eos' as finish_reason,
    9 as max_new_tokens, 10 as n_prompt_tokens, 'openai' as engine
from steps cross join range($n) as numbers(i)
where settings ->> '$.model.name' = $model
"""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(tmp_path / WAREHOUSE) as found:
        yield found


def steps(connection: duckdb.DuckDBPyConnection, kind: str, model: str, first: int, n: int) -> None:
    connection.execute(STEPS, {"kind": kind, "model": model, "first": first, "n": n})


def test_every_kind_and_model_of_a_large_store_gives_its_rates(connection: duckdb.DuckDBPyConnection) -> None:
    steps(connection, "generate", "a", 0, 5500)
    steps(connection, "generate", "b", 5500, 3)
    steps(connection, "judge", "j", 0, 2)
    found = Counter((cost.kind, cost.model) for cost in step_costs(connection))
    assert found == {("generate", "a"): 500, ("generate", "b"): 3, ("judge", "j"): 2}


def test_each_model_gives_the_bytes_of_its_own_tokens_though_another_has_more_answers(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for first, model, letters, n in ((0, "a", 20, 25_000), (1, "b", 40, 10)):
        steps(connection, "generate", model, first, 1)
        connection.execute("insert into prompts values ($id, repeat('x', $n))", {"id": model, "n": letters})
        connection.execute(ANSWERS, {"model": model, "prompt": model, "n": n})
    assert bytes_per_token(connection) == {"a": 2.0, "b": 4.0}

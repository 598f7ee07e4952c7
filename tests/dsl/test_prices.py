"""Prices of served models: those of a spec, those of the list, and none where nothing is known."""

import re

import pytest

from dsl.engines._prices import Price, price_list
from dsl.engines.openai import Settings
from dsl.judges._decision_model import SystemOne


def served(**given: object) -> Settings:
    return Settings.model_validate(given)


def decides(**given: object) -> SystemOne:
    return SystemOne.model_validate(given)


def test_the_prices_of_a_spec_take_the_place_of_the_list() -> None:
    stated = served(name="gpt-4o", usd_per_million_prompt_tokens=1, usd_per_million_new_tokens=2)
    assert stated.price() == Price(1, 2)
    assert Price(1, 2).usd(3_000_000, 500_000) == pytest.approx(4)


def test_a_listed_model_has_its_price_at_its_own_host_alone() -> None:
    listed = price_list().hosts["api.openai.com"].usd_per_million_tokens["gpt-4o-mini"]
    assert served(name="gpt-4o-mini").price() == Price(*listed)
    assert served(name="gpt-4o-mini", base_url="http://localhost:8000/v1").price() is None
    assert served(name="gpt-4o-mini", base_url_env="WHERE").price() is None
    assert served(name="gpt-4o-mini", base_url_env="WHERE", server="api.openai.com").price() is not None
    assert served(name="gpt-4o-mini-audio").price() is None


def test_a_dated_name_has_its_own_price_and_not_that_of_today() -> None:
    assert served(name="gpt-4o-2024-05-13").price() == Price(5, 15)
    assert served(name="gpt-4o-2024-11-20").price() == served(name="gpt-4o").price() == Price(2.5, 10)
    assert served(name="gpt-4o-2023-01-01").price() is None


def test_a_spec_that_states_one_price_takes_the_other_from_the_list() -> None:
    assert served(name="gpt-4o", usd_per_million_prompt_tokens=1).price() == Price(1, 10)
    assert served(name="gpt-4o", usd_per_million_new_tokens=0).price() == Price(2.5, 0)


def test_one_price_alone_is_none_where_the_list_has_no_other() -> None:
    assert served(name="own", usd_per_million_prompt_tokens=1).price() is None


def test_a_model_that_only_decides_has_the_price_of_its_prompts() -> None:
    assert decides(name="jev", usd_per_million_prompt_tokens=2).price() == Price(2, 0)
    assert decides(name="jev").price() is None


def test_each_host_of_the_list_names_a_month_and_a_source_and_prices_what_it_lists() -> None:
    for host in price_list().hosts.values():
        assert re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", host.date)
        assert host.source
        assert all(0 < prompt <= new for prompt, new in host.usd_per_million_tokens.values())


def test_a_request_costs_half_of_its_price_in_a_batch() -> None:
    priced = {"usd_per_million_prompt_tokens": 1, "usd_per_million_new_tokens": 2}
    assert served(name="own", batch=True, **priced).price() == Price(0.5, 1)
    assert served(name="gpt-4o", batch=True).price() == Price(1.25, 5)
    assert served(name="own", batch=True).price() is None

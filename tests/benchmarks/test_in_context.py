"""Prompts of the benchmark of in-context generation, and its floor."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import in_context_beside_vllm
from benchmarks._in_context import vllm
from benchmarks._in_context.floor import Request, Shape, floor_seconds
from benchmarks._in_context.job import Job, Timing, timed
from benchmarks._in_context.questions import instructions
from benchmarks._in_context.rates import Rates
from benchmarks.in_context_beside_vllm import beside_vllm

SHAPE = Shape(layer_weights=100, output_weights=50, attention=2, keys_and_values=3)

VLLM = """
from types import SimpleNamespace as Some
__version__ = "9.9"
SamplingParams = Some

class LLM:
    def __init__(self, folder, **settings):
        assert settings["dtype"] == "float32" and settings["enable_prefix_caching"]

    def get_tokenizer(self):
        return Some(eos_token_id=0)

    def reset_prefix_cache(self):
        return True

    def generate(self, texts, sampling, use_tqdm):
        assert sampling.temperature == 0.0
        one = Some(text="four new", token_ids=[7, 8, 0])
        return [Some(outputs=[one], prompt_token_ids=[1, 2]) for _ in texts]
"""
"""Stands for vLLM's package where it is not installed: each answer is two tokens and EOS."""


def test_240_requests_all_differ_and_begin_alike() -> None:
    prompts = [prompt.text or "" for prompt in Job(240).prompts()]
    assert len(set(prompts)) == 240
    assert len({text[:1500] for text in prompts}) == 1


def test_more_instructions_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="there are 240 instructions, not 241"):
        instructions(241)


def test_a_sample_is_every_so_manyth_whole_batch_in_order_of_length() -> None:
    lengths = [len(prompt.text or "") for prompt in Job(240, batch_size=24, sampled=5).prompts()]
    everyone = sorted(len(prompt.text or "") for prompt in Job(240).prompts())
    assert Counter(lengths) == Counter(everyone[48:72] + everyone[168:192])


def test_where_memory_is_endless_the_floor_is_all_arithmetic_at_the_rate() -> None:
    # prefix: 200 · 4 tokens + 8 · (1 + 2 + 3 + 4) pairs = 880; own: 200 · 2 + 8 · (5 + 6) + 100 = 588; one
    # step: 200 + 8 · 7 + 100 = 356
    assert (
        floor_seconds(SHAPE, 4, [Request(n_own=2, n_steps=1)], Rates(flops=1.0, bytes=1e9)) == 880 + 588 + 356
    )


def test_where_arithmetic_is_free_the_floor_is_all_weights_keys_and_values_read() -> None:
    # in numbers: the prefix reads 100; the own tokens 100 + 50 + 3 · 4; a step 100 + 50 + 3 · (4 + 3) for one
    # row, and 3 · 3 more for two
    requests = [Request(n_own=2, n_steps=1), Request(n_own=2, n_steps=0)]
    assert floor_seconds(SHAPE, 4, requests, Rates(flops=1e9, bytes=4.0)) == pytest.approx(
        100 + 162 + 171, abs=1e-4
    )
    requests = [Request(n_own=2, n_steps=1), Request(n_own=2, n_steps=1)]
    assert floor_seconds(SHAPE, 4, requests, Rates(flops=1e9, bytes=4.0)) == pytest.approx(
        100 + 162 + 180, abs=1e-4
    )


def test_without_an_environment_vllm_is_named_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XP_VLLM", raising=False)
    ours = Timing(2.0, ["a"], n_prompt_tokens=[1], n_new_tokens=[6], n_steps=[5])
    (found,) = beside_vllm((Job(1), ours))
    assert (found.ours, found.baseline) == (3.0, None)
    assert found.against == "vLLM, where `XP_VLLM` names it"


def test_a_side_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"^nobody: exit code 1: .*No module named"):
        timed("nobody", Job(1))


def test_vllm_is_told_beside_ours_with_its_version_and_the_texts_that_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vllm.py").write_text(VLLM, "utf-8")
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -I ] && shift\nPYTHONPATH={tmp_path} exec {sys.executable} -P "$@"\n', "utf-8"
    )
    python.chmod(0o755)
    monkeypatch.setenv("XP_VLLM", str(python))

    def folder(*_: object) -> Path:
        return tmp_path

    def timed(side: str, job: Job) -> Timing:
        assert side == "vllm"
        return vllm.generate(job)

    monkeypatch.setattr(vllm, "source_folder", folder)
    monkeypatch.setattr(in_context_beside_vllm, "timed", timed)
    ours = Timing(2.0, ["four new", "none"], n_prompt_tokens=[2, 2], n_new_tokens=[3, 3], n_steps=[2, 2])
    texts, rates = beside_vllm((Job(2), ours))
    assert (texts.ours, texts.baseline, texts.against) == (1, 2, "vLLM 9.9, one batch")
    assert vllm.generate(Job(2)).n_new_tokens == [2, 2]  # without EOS
    assert rates.ours == 3.0
    assert rates.baseline is not None

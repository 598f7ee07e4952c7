"""Estimates of a plan as columns of its table and as sentences."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from dsl.engines.openai import Settings as Served
from dsl.messages import one_line
from dsl.plan.diff import Diff
from dsl.values import StepId
from xp.estimates.budget import Limit, LimitName
from xp.estimates.estimating import Estimate, Estimates, added
from xp.estimates.kept import BesideActual
from xp.estimates.kept import total as total_of
from xp.estimates.machine import Machine
from xp.estimates.memory import Memory
from xp.plan.lines import Line
from xp.reach import models
from xp.render.labels import labels_of
from xp.render.plan import Column
from xp.render.words import counted

MOST_TOO_LARGE = 3
"""Steps too large for the machine that are named; the rest is counted."""


def estimate_columns(estimates: Estimates, *, is_wide: bool = False) -> tuple[Column, ...]:
    """Columns of requests, tokens, time and money; where there is room, tokens in and out apart, and training
    steps."""

    @cache
    def of_steps(step_ids: tuple[StepId, ...]) -> Estimate:
        return estimates.total(step_ids)

    def of(lines: Sequence[Line]) -> Estimate:
        return added(of_steps(line.todo) for line in lines)

    tokens = (
        (
            Column("tokens in", lambda lines: in_short(of(lines).n_prompt_tokens)),
            Column("tokens out", lambda lines: in_short(of(lines).n_new_tokens)),
            Column("train steps", lambda lines: in_short(of(lines).n_train_steps)),
        )
        if is_wide
        else (Column("tokens", lambda lines: in_short(of(lines).n_prompt_tokens + of(lines).n_new_tokens)),)
    )
    return (
        Column("requests", lambda lines: in_short(of(lines).n_requests)),
        *tokens,
        Column("time", lambda lines: _time_of(of(lines))),
        Column("USD", lambda lines: f"{of(lines).usd:.2f}" if of(lines).usd else ""),
    )


def estimate_sentences(diff: Diff, estimates: Estimates) -> Iterator[str]:
    """All steps to run together, what their figures rest on, and steps that do not fit into memory."""
    total = estimates.total()
    if not estimates.steps:
        return
    yield f"Estimated {_rests_on(total, estimates.machine)}: {'; '.join(_parts(total, estimates.machine))}"
    if n := _n_in_batches(diff, estimates):
        yield (
            f"{counted(n, 'request')} of these in batches, half of whose price is counted: `xp apply` submits"
            " them and ends, and the provider answers within a day"
        )
    yield from too_large(diff, estimates.too_large(), estimates.machine)


def step_in_short(one: Estimate) -> str:
    """A step's estimate: requests, tokens, training steps, time, peak memory and money, where it has any."""
    if one.n_uncounted:
        return "not counted yet"
    asks = f"{counted(one.n_requests, 'request')}, {_tokens(one)}" if one.n_requests else ""
    trains = counted(one.n_train_steps, "training step") if one.n_train_steps else ""
    took = in_time(one.seconds) if one.seconds >= 0.5 else ""
    memory = in_bytes(one.peak_memory_bytes) if one.peak_memory_bytes else ""
    usd = f"{one.usd:.2f} USD" if one.usd else "no known price" if one.n_unpriced else ""
    return ", ".join(filter(None, (asks, trains, took, memory, usd)))


def budget_sentences(limits: Mapping[LimitName, Limit]) -> Iterator[str]:
    """Each limit of the budget: what is spent of it, what is left, and whether the estimate fits."""
    for name, one in limits.items():
        limit, spent, left, estimated = (
            _amount(name, n) for n in (one.limit, one.spent, one.left, one.estimated)
        )
        yield f"Budget of {limit} {_UNITS[name]}: {spent} spent, {left} left; {_FITS[one.fits](estimated)}"


_UNITS: Mapping[LimitName, str] = {"usd": "USD", "tokens": "tokens", "device_hours": "device-hours"}
_FITS: Mapping[bool | None, Callable[[str], str]] = {
    True: "the estimate of {} fits".format,
    False: "the estimate of {} does not fit: apply would stop there".format,
    None: "the estimate of {} fits, without the steps not counted yet".format,
}


def _amount(name: LimitName, n: float) -> str:
    return f"{n:,.0f}" if name == "tokens" else f"{n:.4g}"


def too_large(diff: Diff, steps: dict[str, Memory], machine: Machine) -> Iterator[str]:
    """Name steps that need more memory than the machine has."""
    labels = labels_of(diff) if steps else {}
    for step_id, needed in list(steps.items())[:MOST_TOO_LARGE]:
        yield (
            f"{one_line(labels.get(step_id, step_id))} ({step_id}) needs about {in_bytes(needed.least)} of"
            f" memory: {in_bytes(needed.weights)} for weights, {in_bytes(needed.optimizer)} for gradients and"
            f" optimiser, {in_bytes(needed.activations)} for activations, {in_bytes(needed.kv_cache_of_one)}"
            f" for the KV cache of a row. There are {in_bytes(machine.memory_bytes)} on {machine.name}."
        )
    if len(steps) > MOST_TOO_LARGE:
        n = len(steps) - MOST_TOO_LARGE
        yield f"So {'does' if n == 1 else 'do'} {counted(n, 'more step')}."


def beside_lines(beside: BesideActual) -> Iterator[str]:
    """Time, tokens and money of finished steps, each beside its estimate; the time by kind of step, too."""
    estimated, actual = total_of(beside.estimated), total_of(beside.actual)
    steps = counted(beside.n_steps, "estimated step")
    parts = [f"{in_time(actual.seconds)} ({in_time(estimated.seconds)} estimated)"]
    if actual.tokens:
        parts.append(f"{in_short(actual.tokens)} tokens ({in_short(estimated.tokens) or 0})")
    if actual.usd or estimated.usd:
        parts.append(f"{actual.usd:.2f} USD ({estimated.usd:.2f})")
    yield f"{steps} took {', '.join(parts)}"
    kinds = [
        f"{kind} {in_time(cost.seconds)} ({in_time(beside.estimated[kind].seconds)})"
        for kind, cost in beside.actual.items()
        if max(cost.seconds, beside.estimated[kind].seconds) >= 1
    ]
    if len(kinds) > 1:
        yield f"by kind: {', '.join(kinds)}"


def in_short(count: int) -> str:
    """A count with a letter for thousands, millions or billions; empty for none."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if count >= size:
            value = count / (1000 if letter == "k" else size)
            return f"{value:.1f}{letter}" if value < 10 else f"{value:.0f}{letter}"
    return str(count) if count else ""


def in_time(seconds: float) -> str:
    """A duration in its largest unit."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{round(hours / 24)} d"


def in_bytes(count: float) -> str:
    """Bytes in gigabytes or megabytes."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{round(count / 1e6)} MB"


def _n_in_batches(diff: Diff, estimates: Estimates) -> int:
    steps = diff.plan.steps

    def waits(step_ids: Iterable[StepId]) -> bool:
        found = models(steps[step_id] for step_id in step_ids)
        return any(isinstance(model, Served) and model.batch for model in found)

    if not waits(estimates.steps):
        return 0
    return estimates.total(step_id for step_id in estimates.steps if waits([step_id])).n_requests


def _time_of(one: Estimate) -> str:
    if one.seconds < 0.5:
        return "?" if one.n_uncounted else ""
    return f"{in_time(one.seconds)}{'+?' if one.n_uncounted else ''}"


def _parts(total: Estimate, machine: Machine) -> Iterator[str]:
    if total.n_requests:
        yield f"{counted(total.n_requests, 'request')}, {_tokens(total)}"
    if total.n_train_steps:
        yield counted(total.n_train_steps, "training step")
    yield f"{in_time(total.seconds)} on {machine.name}"
    if total.gpu_seconds:
        yield f"{total.gpu_seconds / 3600:.2f} GPU-hours"
    if total.peak_memory_bytes:
        yield f"{in_bytes(total.peak_memory_bytes)} of {in_bytes(machine.memory_bytes)} memory"
    if total.usd or total.n_unpriced:
        unknown = (
            f" and {counted(total.n_unpriced, 'step')} without a known price" if total.n_unpriced else ""
        )
        yield f"{total.usd:.2f} USD{unknown}"


def _tokens(one: Estimate) -> str:
    return f"{in_short(one.n_prompt_tokens) or 0} tokens in, {in_short(one.n_new_tokens) or 0} out"


def _rests_on(total: Estimate, machine: Machine) -> str:
    """Say where the time is from, and what is not counted."""
    n_ruled = total.n_steps - total.n_measured - total.n_uncounted
    by_rule = f"by parameters × tokens / FLOP/s{'' if machine.is_known else ', which are a guess here'}"
    left_out = f" without {counted(total.n_uncounted, 'step')} not counted yet" if total.n_uncounted else ""
    if not total.n_measured:
        return f"{by_rule}{left_out}"
    return f"by this store's rates{f' ({n_ruled} of the steps {by_rule})' if n_ruled > 0 else ''}{left_out}"

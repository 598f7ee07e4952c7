"""Spending of the step that this process makes, charged to its study's ledger.

A process makes one step at a time: `charged` says who pays for it. Without a budget nothing is
entered and nothing refused.
"""

import contextlib
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dsl.engines._prices import Price
from dsl.engines.contract import ServerSettings
from dsl.errors import BudgetSpent
from dsl.spec.budget import Budget, Use
from dsl.steps.steps import Step
from runners.http.meter import FREE, Meter
from runners.store.spending_ledger import Ledger, exceeded
from runners.store.store import Store

if TYPE_CHECKING:
    from anyio import Lock

_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_BETWEEN_ENTRIES = 1.0
"""Device time that a kill may leave out, beside the batch or the optimiser step at work."""


@dataclass
class _Account:
    """Budget of the step at work, and the device time that is not entered yet."""

    ledger: Ledger
    budget: Budget
    has_model: bool
    """The step loads a model, so that its time is device time."""
    is_at_work: bool = False
    """The model is used: the step's time counts, from its start on."""
    since: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        if self.has_model and not self.is_at_work:
            self.check()
            self.is_at_work = True

    def enter_time(self, at_least: float = 0.0) -> None:
        seconds = time.monotonic() - self.since
        if self.is_at_work and seconds >= at_least:
            self.since += seconds
            self.ledger.add(Use(device_seconds=seconds * _n_devices()))

    def check(self) -> None:
        """Raise BudgetSpent where no device time is left."""
        used = Use(device_seconds=self.ledger.spent.device_seconds)
        if exceeded(used, self.budget):
            raise BudgetSpent(
                f"the budget of {self.budget.device_hours:g} device-hours is spent"
                f" ({used.device_seconds / 3600:.4g})"
            )


_account: _Account | None = None


@contextlib.contextmanager
def charged(step: Step, store: Store) -> Generator[None]:
    """Charge what a step spends in the block to the store's `charge`: device time where it calls `begin`."""
    global _account
    if store.charge is None:
        yield
        return
    ledger = store.ledger(store.charge.experiment)
    ledger.apply = store.charge.apply
    ledger.look()
    _account = _Account(ledger, store.charge.budget, has_model=bool(step.affinity))
    try:
        yield
    finally:
        account, _account = _account, None
        account.enter_time()


def begin() -> None:
    """Charge the step at work, which is about to use its model, for its device time; rows that are all reused
    cost none.

    Raises BudgetSpent where no device time is left.
    """
    if _account is not None:
        _account.begin()


def check() -> None:
    """Raise BudgetSpent where the step at work has no device time left: called where it can be left, after
    each row and each checkpoint."""
    if _account is not None and _account.is_at_work:
        _account.enter_time(_SECONDS_BETWEEN_ENTRIES)
        _account.check()


def is_spent() -> bool:
    """Test whether `check` would raise."""
    try:
        check()
    except BudgetSpent:
        return True
    return False


def meter(model: ServerSettings, max_new_tokens: int, batch: str | None = None) -> Meter:
    """Return the meter of requests to a served model that writes at most `max_new_tokens` in each; of a
    `batch`, named, in all of its requests.

    To be called in the event loop that sends them.
    """
    if _account is None:
        return FREE
    from anyio import Lock

    ledger, budget = _account.ledger, _account.budget
    price = model.price()
    return _Charged(ledger, budget, price, max_new_tokens, model.name, model.timeout, Lock(), batch)


@dataclass(frozen=True)
class _Charged:
    """Meter that enters requests in a ledger.

    A token has at least one byte, so a request's bytes are more than its prompt's tokens.
    """

    ledger: Ledger
    budget: Budget
    price: Price | None
    max_new_tokens: int
    name: str
    timeout: float
    turn: "Lock"
    """Only the first that waits for room looks for it."""
    batch: str | None

    async def reserve(self, n_bytes: int) -> str:
        from anyio import sleep

        async with self.turn:
            most, patience = self._use(n_bytes, self.max_new_tokens), time.monotonic() + self.timeout
            was_settled = False  # seen twice, so that an answer that just came is on its way out
            while (reserved := self.ledger.reserve(most, self.budget, self.batch)) is None:
                if was_settled or time.monotonic() > patience:
                    raise self._spent(most)
                was_settled = self.ledger.is_settled
                await sleep(_SECONDS_BETWEEN_LOOKS)
            return reserved

    def settle(self, reserved: str, n_tokens: tuple[int | None, int | None]) -> None:
        n_prompt, n_new = n_tokens
        took = None if n_prompt is None or n_new is None else self._use(n_prompt, n_new)
        self.ledger.settle(reserved, took)

    def _use(self, n_prompt: int, n_new: int) -> Use:
        usd = 0.0 if self.price is None else self.price.usd(n_prompt, n_new)
        return Use(usd=usd, tokens=n_prompt + n_new)

    def _spent(self, most: Use) -> BudgetSpent:
        spent, what = self.ledger.spent, "another request" if self.batch is None else "the batch of requests"
        if exceeded(spent + most, self.budget) == "usd":
            return BudgetSpent(
                f"the budget of {self.budget.usd:g} USD has no room for {what} to {self.name}, of up"
                f" to {most.usd:.4g}: {spent.usd:.4g} are spent"
            )
        return BudgetSpent(
            f"the budget of {self.budget.tokens:,} tokens has no room for {what} to {self.name}, of"
            f" up to {most.tokens:,}: {spent.tokens:,} are spent"
        )


def _n_devices() -> int:
    """GPUs that this process sees; 1 for a machine without one."""
    torch: Any = sys.modules.get("torch")
    return max(1, torch.cuda.device_count()) if torch is not None else 1

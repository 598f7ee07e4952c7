"""Accounts that requests are charged to."""

from typing import Protocol


class Meter(Protocol):
    """Account that requests are charged to."""

    async def reserve(self, n_bytes: int) -> str:
        """Reserve the most that a request of so many bytes may cost, and return the reservation's name.

        Raises BudgetSpent where it has no room and nothing under way will make some.
        """
        ...

    def settle(self, reserved: str, n_tokens: tuple[int | None, int | None]) -> None:
        """Charge what a request took in the place of its reservation: all of that where it is unknown."""
        ...


class Free:
    """Meter of requests that nobody is charged for."""

    async def reserve(self, n_bytes: int) -> str:
        return ""

    def settle(self, reserved: str, n_tokens: tuple[int | None, int | None]) -> None:
        pass


FREE = Free()

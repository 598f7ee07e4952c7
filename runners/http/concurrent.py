"""Concurrent requests behind a plain generator: coroutines in a thread of their own, so that even a waiting
one can be cancelled."""

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def concurrently(
    items: Iterable[Item],
    opened: Callable[[], AbstractAsyncContextManager[Callable[[Item], Awaitable[Answer | Exception]]]],
    limit: int,
) -> Generator[Answer]:
    """Yield the answer to every item as they finish, with at most `limit` items in flight and `limit` answers
    buffered.

    `opened` gives the function that answers one item; it is entered and left in the thread. An exception that
    the function returns ends the iteration: no further item is asked, and it is raised here, after the
    answers before it. One that the function raises is a bug and is raised as an ExceptionGroup. Closing the
    iterator cancels requests in flight, backoff included, and waits for them to end.
    """
    from anyio import EndOfStream, create_memory_object_stream, create_task_group
    from anyio.from_thread import start_blocking_portal

    waiting = (item for item in items)
    send, receive = create_memory_object_stream[Answer | Exception](limit)

    async def work(ask: Callable[[Item], Awaitable[Answer | Exception]]) -> None:
        for item in waiting:
            answer = await ask(item)
            if isinstance(answer, Exception):
                waiting.close()
            await send.send(answer)

    async def answer_all() -> None:
        async with send, opened() as ask, create_task_group() as group:
            for _ in range(limit):
                group.start_soon(work, ask)

    with start_blocking_portal() as portal, receive:
        answering = portal.start_task_soon(answer_all)
        try:
            while True:
                try:
                    answer = portal.call(receive.receive)
                except EndOfStream:
                    break
                if isinstance(answer, Exception):
                    raise answer
                yield answer
            answering.result()
        finally:
            answering.cancel()

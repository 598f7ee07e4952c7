"""Many requests at once behind a plain generator: coroutines in a thread of their own, so that even a waiting one can be stopped."""

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def concurrently(
    items: Iterable[Item], opened: Callable[[], AbstractAsyncContextManager[Callable[[Item], Awaitable[Answer]]]], limit: int
) -> Generator[Answer]:
    """The answer to every item, as they are finished, with at most `limit` asked and `limit` more waiting to be taken.

    `opened` gives the function that answers one item; it is entered and left in the thread. Closing the iterator cancels what is under way,
    pauses between tries included, and waits until it has ended. What the function raises comes out as an ExceptionGroup.
    """
    from anyio import EndOfStream, create_memory_object_stream, create_task_group
    from anyio.from_thread import start_blocking_portal
    from anyio.streams.memory import MemoryObjectSendStream

    waiting = iter(items)
    send, receive = create_memory_object_stream[Answer](limit)

    async def work(ask: Callable[[Item], Awaitable[Answer]], send: MemoryObjectSendStream[Answer]) -> None:
        for item in waiting:
            await send.send(await ask(item))

    async def answer_all() -> None:
        async with send, opened() as ask, create_task_group() as group:
            for _ in range(limit):
                group.start_soon(work, ask, send)

    with start_blocking_portal() as portal, receive:
        answering = portal.start_task_soon(answer_all)
        try:
            while True:
                try:
                    answer = portal.call(receive.receive)
                except EndOfStream:
                    break
                yield answer
            answering.result()
        finally:
            answering.cancel()

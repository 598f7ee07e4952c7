"""A server that answers every chat after a fixed time, however many there are: it prints its port and runs
until it is killed."""

import asyncio
import json
import selectors
import sys

SECONDS = 0.2
WORDS = "The vandi lives in Chile, in the hills above the coast. " * 8


class Answering(asyncio.Protocol):
    """One connection that is kept alive, one request after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._read = transport, b""

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        length = next(
            (
                line.split(b":")[1]
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            None,
        )
        if end and length is not None and len(body) >= int(length):
            self._read = body[int(length) :]
            asyncio.get_running_loop().call_later(SECONDS, self._transport.write, REPLY)


def _reply() -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": WORDS}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    body = json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "slow",
            "choices": [choice],
            "usage": usage,
        }
    ).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )


REPLY = _reply()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    # epoll waits for whole milliseconds, rounded up; select does not.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(main())

"""Cluster of the `ray` executor: connection, options of a step, and a check that some node can meet them."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Collection, Generator, Mapping
from typing import Any

from dsl.errors import XpError
from dsl.messages import one_line
from dsl.spec.resources import Resources
from runners.execution import gpus

_ANSWER_SECONDS = 10.0
_NOT_RAYS = {"shard_rows", "partition", "time", "account", "fsdp"}


@contextlib.contextmanager
def connected() -> Generator[Any]:
    """The module `ray`, with this process connected to a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        raise XpError(
            "`executor: ray` needs the package ray, here and on every node: pip install 'xp-lab[ray]'"
        ) from error
    cluster: Any = ray
    if cluster.is_initialized():
        yield cluster
        return
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    before = signal.getsignal(signal.SIGTERM)
    try:
        cluster.init(log_to_driver=False, logging_level="warning", include_dashboard=False)
    # nobody answers there, or with another version of Ray or Python
    except (ConnectionError, RuntimeError) as error:
        raise XpError(f"no connection to the Ray cluster: {one_line(str(error))}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)  # Ray puts its own in this place
    try:
        yield cluster
    finally:
        cluster.shutdown()


def _check_address(address: str) -> None:
    """Ray itself goes on asking for many minutes. Raises XpError where `host:port` does not answer."""
    host, _, port = address.rpartition(":")
    if host and "/" not in host and port.isdigit():
        try:
            socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
        except OSError as error:
            raise XpError(f"nobody answers at RAY_ADDRESS {address}: {error.strerror or error}") from error


def options_of(given: Resources | None) -> dict[str, Any]:
    """The options of `ray.remote`."""
    asked = given.model_dump(exclude=_NOT_RAYS, exclude_none=True) if given else {}
    return {"num_cpus": 1, **asked}


def check_nodes(ray: Any, options: Mapping[str, Mapping[str, Any]], loading: Collection[str]) -> None:
    """Check that some node has what each kind of step is to get.

    Ray waits without a word for such a node, and a model that is given no GPU runs without one.

    Raises:
        XpError: no node of the cluster has what is asked for; or the nodes have GPUs, and for a kind of step
            that loads a model (`loading`) the spec does not say how many it is to have.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for kind, asked in options.items():
        if kind in loading and "num_gpus" not in asked and any(node.get("GPU") for node in nodes):
            raise gpus.unsaid("Ray", kind)
        spelled = {"num_cpus": "CPU", "num_gpus": "GPU"}
        needed = {
            spelled.get(name, name): amount for name, amount in asked.items() if name != "resources"
        } | asked.get("resources", {})
        if not any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
            wanted = ", ".join(f"{amount:g} {name}" for name, amount in needed.items())
            has = "; ".join(_in_words(node) for node in nodes)
            raise XpError(
                f"no node of the Ray cluster has what `resources` asks for a {kind} step: {wanted}. The nodes"
                f" have: {has}"
            )


def _in_words(node: Mapping[str, float]) -> str:
    return ", ".join(
        f"{amount:g} {name}"
        for name, amount in sorted(node.items())
        if not name.startswith(("node:", "object_store"))
    )

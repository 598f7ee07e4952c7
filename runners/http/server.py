"""A server's address and key, named by the spec, read from the environment and never shown."""

import os
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import SecretStr

from dsl.engines.contract import ServerSettings
from dsl.errors import ServerError
from dsl.messages import REDACTED, one_line

_SHORTEST_SECRET = 8
"""Characters. Local servers are given keys such as `EMPTY`, which are no secrets and may stand in an
answer."""


class Server:
    """Address and key of a server; `repr` and messages show neither key nor password."""

    def __init__(self, settings: ServerSettings, key: SecretStr | None = None) -> None:
        """Read the environment.

        Args:
            settings: The server, as a spec names it.
            key: That of a server which this process has started.

        Raises:
            ServerError: an environment variable is not set, holds no address or a key that cannot be sent, or
                `base_url` is no address.
        """
        address = _address(settings)
        parts = urlsplit(address)
        self._address = SecretStr(address)
        self.host = _host(parts)
        if settings.server not in (None, self.host) and settings.revision is None:
            raise ServerError(
                f"the environment variable {settings.base_url_env} names {self.host}, and the study was"
                f" planned with {settings.server}"
            )
        self.url = f"{parts.scheme}://{self.host}{parts.path.rstrip('/')}"
        """For messages: without name, password and query."""
        self.api_key_env = settings.api_key_env
        self.is_own = key is not None
        """This process has started it: it is reached without a proxy."""
        self.key = _key(settings.api_key_env) if key is None else key
        secrets = [
            self.key.get_secret_value(),
            parts.password or "",
            unquote(parts.password or ""),
            parts.query,
        ]
        self._secrets = tuple(SecretStr(secret) for secret in secrets if len(secret) >= _SHORTEST_SECRET)

    def at(self, path: str, query: str = "") -> str:
        """Return the address with a path and a query appended. It holds the password."""
        parts = urlsplit(self._address.get_secret_value())
        whole = "&".join(filter(None, (parts.query, query)))
        return parts._replace(path=f"{parts.path.rstrip('/')}/{path}", query=whole).geturl()

    def cleaned(self, value: Any) -> Any:
        """Return a server's JSON without key and password in any text, and with lone surrogates replaced,
        which UTF-8 cannot encode."""
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()
            for secret in self._secrets:
                value = value.replace(secret.get_secret_value(), REDACTED)
        elif isinstance(value, list):
            return [self.cleaned(one) for one in cast("list[Any]", value)]
        elif isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            return {self.cleaned(name): self.cleaned(one) for name, one in fields.items()}
        return value


@dataclass(frozen=True)
class Call:
    """A server that a study calls."""

    host: str
    """As `https://api.openai.com`."""
    variable: str | None
    """The environment variable whose value is sent to it."""

    def __str__(self) -> str:
        return f"calls {self.host}" + (f" and sends it {self.variable}" if self.variable else "")


def call_of(settings: ServerSettings) -> Call:
    """Return the host that a model is called at, and the environment variable with its key.

    Raises:
        ServerError: the address is none, or stands in a variable that is not set.
    """
    parts = urlsplit(_address(settings))
    return Call(f"{parts.scheme}://{_host(parts)}", settings.api_key_env)


def _address(settings: ServerSettings) -> str:
    variable = settings.base_url_env
    address = settings.base_url or (
        _variable(variable, "the server's address") if variable else settings.DEFAULT_URL
    )
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or True)
    except ValueError:
        is_address = False
    if not is_address:
        where = "`base_url`" if settings.base_url else f"what the environment variable {variable} holds"
        raise ServerError(f"{where} is not an address such as http://localhost:8000/v1")
    return address


def _host(parts: SplitResult) -> str:
    return one_line(parts.netloc.rpartition("@")[2])


def _variable(name: str, holds: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ServerError(f"the environment variable {name} is not set; it should hold {holds}")
    return value


def _key(api_key_env: str | None) -> SecretStr:
    if api_key_env is None:
        return SecretStr("")
    key = SecretStr(_variable(api_key_env, "the key of the server"))
    # A key that cannot stand in a header would be shown in the client's own error.
    if not all("!" <= character <= "~" for character in key.get_secret_value()):
        raise ServerError(
            f"the environment variable {api_key_env} does not hold a key: there is white space or another odd"
            " character in it"
        )
    return key

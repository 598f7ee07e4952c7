"""Base of the engines' settings, and the decoding settings."""

import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from dsl.data.fingerprints import Fingerprints
from dsl.engines._prices import Price, listed_price
from dsl.messages import is_secret, one_line, scrub
from dsl.values import Value


class EngineSettings(Value):
    """Settings of an engine. Each `dsl/engines/<name>.py` has a `Settings` that narrows `engine` to its
    name."""

    engine: str

    @property
    def code(self) -> tuple[str, ...]:
        """Modules that decide its answers."""
        return (f"runners.engines.{self.engine}",)

    def pinned(self, fingerprints: Fingerprints, folder: Path) -> "EngineSettings":
        """Return the settings with digests of local files (relative to `folder`) and versions of packages."""
        return self

    def for_adapters(self, rank: int) -> "EngineSettings":
        """Return the settings of a model that is to be asked with adapters of up to this rank; 0 is none."""
        return self

    def server_named(self) -> "ServerSettings | None":
        """Return a running server that the settings name, or None."""
        return None

    def affinity(self) -> str:
        """Return a key of the loaded model: a worker runs steps of equal affinity one after another. Empty
        without a model."""
        return ""

    def unpinned(self) -> str | None:
        """Return why the same settings may later mean another model, or None."""
        return None

    def opinion(self) -> str:
        """Return the source of a verdict by this model, for people."""
        named = (getattr(self, name, None) for name in ("name", "hub", "package", "path"))
        return f"the opinion of a model, {next((str(found) for found in named if found), self.engine)}"


class Decoding(Value):
    """Decoding settings, named as in `transformers.GenerationConfig`. Temperature 0 is greedy."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    source: Literal["model"] | None = Field(default=None, alias="from")
    """`model`: temperature, top-p, top-k and repetition penalty are those that the model was published with
    (its generation_config.json)."""
    max_new_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0 is no limit."""
    repetition_penalty: float = Field(default=1.0, gt=0)
    penalize_prompt: bool = True
    """The repetition penalty counts the prompt's tokens as well as the answer's, as in transformers and
    vLLM."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        both = sorted(self.model_fields_set & {"temperature", "top_p", "top_k", "repetition_penalty"})
        if self.source == "model" and any(
            getattr(self, name) != type(self).model_fields[name].default for name in both
        ):
            raise ValueError(f"`from: model` takes {', '.join(both)} from the model: name either")
        return self

    @property
    def is_sampled(self) -> bool:
        """May tokens be sampled? A model's own settings are known only when it is loaded."""
        return self.temperature > 0 or self.source == "model"


def without_secret(address: str) -> str:
    """Return an address that holds no secret. Raises ValueError for another."""
    if _may_hold_a_secret(address):
        raise ValueError(
            "an address with a name, a password, a key or a query in it would stand in reports and in the"
            " store. Name the environment variable that holds it: `base_url_env` for the whole address,"
            " `api_key_env` for a key"
        )
    return address


_VERSION = re.compile(r"api-version=[\w.\-]{1,20}")


class ServerSettings(EngineSettings):
    """A model on a server. The key is named by its environment variable and never held."""

    DEFAULT_URL: ClassVar[str]
    """Default address."""
    name: str
    """The model, as the server calls it."""
    base_url: Annotated[str, AfterValidator(without_secret)] | None = None
    """The server's address, as `http://localhost:8000/v1`. Reports and the store show it, so it holds no
    password and no key."""
    base_url_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the address. Host and port are part of the study, unless `revision`
    names what is served."""
    revision: str | None = None
    """Version or digest of the served model. With it, the model at another address is the same."""
    server: str | None = Field(None, json_schema_extra={"readOnly": True})
    """Filled in by the plan: host and port that `base_url_env` holds."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key."""
    max_concurrency: int = Field(8, ge=1, le=1024)
    """The most requests in flight at once; fewer after 429, 503 and time-outs, until the server keeps up
    again. Not part of the identity."""
    timeout: float = Field(120.0, gt=0)
    """Seconds one request may take. Not part of the identity."""
    max_retries: int = Field(6, ge=0)
    """Further tries after 429, 5xx and time-outs, with growing pauses. Not part of the identity."""
    usd_per_million_prompt_tokens: float | None = Field(None, ge=0)

    def server_named(self) -> "ServerSettings | None":
        return self

    def price(self) -> Price | None:
        """Return the price that the spec states; what it leaves open is that of the price list, of a known
        host. None where a part of it is in neither."""
        address = self.base_url or ("" if self.base_url_env else self.DEFAULT_URL)
        listed = listed_price(host_of(address) or self.server or "", self.name)
        prompt, new = self.usd_per_million_prompt_tokens, self._usd_per_million_new_tokens()
        if listed is not None:
            prompt, new = listed.prompt if prompt is None else prompt, listed.new if new is None else new
        return None if prompt is None or new is None else Price(prompt, new)

    def _usd_per_million_new_tokens(self) -> float | None:
        """Price of new tokens; 0 where the model writes none."""
        return 0.0

    def pinned(self, fingerprints: Fingerprints, folder: Path) -> Self:
        address = (
            os.environ.get(self.base_url_env, "").strip() if self.base_url_env and not self.base_url else ""
        )
        return self.model_copy(update={"server": host_of(address) or None})

    def unpinned(self) -> str | None:
        variable = None if self.base_url or self.revision else self.base_url_env
        if variable is not None and not os.environ.get(variable, "").strip():
            return (
                f"the environment variable {variable} is not set, so this study is not pinned to a server."
                " Set it, or name a `revision`"
            )
        return None


def _may_hold_a_secret(address: str) -> bool:
    """Test whether an address holds more than scheme, host and path, except Azure's API version?"""
    rest, _, query = address.partition("?")
    authority = rest.partition("://")[2].partition("/")[0] if "://" in rest else rest.partition("/")[0]
    return bool(
        "@" in authority
        or "#" in address
        or (query and not _VERSION.fullmatch(query))
        or is_secret(address)
        or scrub(address) != address
    )


def host_of(address: str) -> str:
    """Return host and port of an address, without name and password; empty if invalid."""
    try:
        return one_line(urlsplit(address).netloc.rpartition("@")[2])
    except ValueError:
        return ""

"""A chat as a real server renders it, beside its weights here, and beside weights of another template."""

from pathlib import Path

import pytest

from dsl.data.records import Prompt
from dsl.engines.openai import Settings
from dsl.engines.transformers import Weights
from runners.contract.check import compare
from runners.contract.findings import Finding
from runners.contract.rendering import Rendering
from runners.contract.served import _bodies
from runners.contract.served_tokens import tokenised
from runners.models.weight_files import source_folder
from runners.serving.servers import Running

CHAT = Prompt(messages=(("user", "Why is the sky blue?"),))


def check_rendering(
    server: Running, weights: Weights, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that a server tells the tokens of a chat, that they are those of its weights here, and that a
    template with other words is an error."""
    monkeypatch.setenv("XP_TEST_SERVER_KEY", server.server.key.get_secret_value())
    model = Settings.model_validate(
        {"name": "model", "base_url": f"{server.settings.base_url}/v1", "api_key_env": "XP_TEST_SERVER_KEY"}
    )
    replies, reason = tokenised(model, _bodies(CHAT))
    assert reason is None
    assert all(reply is not None and reply.tokens for reply in replies[:-1])
    assert replies[-1] is not None  # of no text: SmolLM2 begins without a token of its own
    assert replies[0] is not None
    tokens = tuple(replies[0].tokens)

    def found(here: Weights) -> list[Finding]:
        rendering = Rendering(
            name="model", weights=here, is_used=True, what="the prompt of `q`", prompt=CHAT, tokens=tokens
        )
        return [one for findings in compare([rendering], cache).values() for one in findings]

    assert found(weights) == []
    source, other = source_folder(weights, cache), folder / "other"
    other.mkdir()
    for file in source.iterdir():
        (other / file.name).symlink_to(file)
    template = (source / "chat_template.jinja").read_text("utf-8")
    assert "helpful AI assistant" in template
    (other / "chat_template.jinja").unlink()
    changed = template.replace("helpful AI assistant", "helpful assistant")
    (other / "chat_template.jinja").write_text(changed, "utf-8")
    (finding,) = found(Weights(path=str(other)))
    assert finding.level == "error"
    assert "' AI assistant" in finding.message.partition(" on the server, ")[0]
    assert "' assistant" in finding.message.partition(" on the server, ")[2]

    monkeypatch.setenv("XP_TEST_SERVER_KEY", "another")
    _, reason = tokenised(model, _bodies(CHAT))
    assert reason is None or "401" in reason  # vLLM asks for its key below /v1 alone

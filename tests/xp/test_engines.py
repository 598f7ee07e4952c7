"""`engine: auto` on the machine that plans: the driver's word for a GPU and a vLLM that knows the model,
written into plan and lock, and refused where it is resolved otherwise later."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dsl.checks.load import load
from dsl.engines.transformers import Weights
from dsl.engines.vllm import Settings as Served
from dsl.errors import SpecError
from dsl.spec.engines import Resolved
from tests.fixtures.tiny_study import TINY
from xp import lock as locks
from xp.cli import app
from xp.engines import chosen_lines, why_not_vllm_in
from xp.plan.differences import differences
from xp.studies import diff_for

ROOT = Path(__file__).resolve().parents[2]
SPEC = f"""\
experiment: open
languages: ["en"]
models: {{tiny: {{base: {{engine: auto, path: "{TINY}"}}}}}}
data: {{asked: {{rows: {{path: asked.jsonl}}, columns: {{item: item, instruction: instruction}}}}}}
evaluate: [asked]
methods: {{zero: {{method: icl, num_fewshot: 0}}}}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study on a machine with a GPU and a vLLM that knows its model."""
    (tmp_path / "asked.jsonl").write_text('{"item": "1", "instruction": "Why?"}\n', "utf-8")
    (tmp_path / "study.yaml").write_text(SPEC, "utf-8")
    registry = (
        tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "vllm" / "model_executor" / "models"
    )
    registry.mkdir(parents=True)
    (tmp_path / "env" / "bin").mkdir()
    (tmp_path / "env" / "bin" / "python").touch()
    (registry / "registry.py").write_text(
        '_MODELS = {\n    "LlamaForCausalLM": ("llama", "L"),\n}\n', "utf-8"
    )
    monkeypatch.setenv("XP_VLLM", str(tmp_path / "env"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return tmp_path / "study.yaml"


def resolved(spec: Path, *overrides: str) -> Resolved:
    (one,) = load(spec, overrides, None, why_not_vllm_in(spec.parent)).origin.engines
    return one


def test_vllm_is_taken_where_a_gpu_and_a_vllm_that_knows_the_model_are(spec: Path) -> None:
    assert resolved(spec).engine == "vllm"


def test_without_a_gpu_transformers_is_taken(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert resolved(spec).why == "no GPU is here (nvidia-smi, CUDA_VISIBLE_DEVICES)"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    tools = spec.parent / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    assert resolved(spec).engine == "transformers"
    (tools / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA (UUID: GPU-1)'\n", "utf-8")
    (tools / "nvidia-smi").chmod(0o755)
    assert resolved(spec).engine == "vllm"


def test_without_a_vllm_transformers_is_taken(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XP_VLLM", str(spec.parent / "nothing"))
    one = resolved(spec)
    assert (one.engine, "XP_VLLM holds" in one.why) == ("transformers", True)
    monkeypatch.delenv("XP_VLLM")
    assert "there is no vLLM here" in resolved(spec).why


def test_a_model_that_this_vllm_does_not_know_is_loaded_by_transformers(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (architecture,) = json.loads((TINY / "config.json").read_text("utf-8"))["architectures"]
    registry = next(spec.parent.glob("env/lib/*/*/vllm/*/*/registry.py"))
    text = registry.read_text("utf-8")
    registry.write_text(text.replace(architecture, "Other"), "utf-8")
    assert resolved(spec).why == f"vLLM does not know the architecture {architecture}"
    monkeypatch.setenv("XP_VLLM", "docker run vllm")  # whose registry cannot be read
    assert resolved(spec).engine == "vllm"


def test_on_a_cluster_the_gpu_is_one_that_resources_give(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "gives `generate` steps no GPU" in resolved(spec, "executor=slurm").why
    assert resolved(spec, "executor=slurm", "resources.generate.num_gpus=1").engine == "vllm"
    text = spec.read_text("utf-8").replace("engine: auto", "engine: transformers")
    model = f'{{engine: auto, path: "{TINY}"}}'
    judges = f"judges: {{level: {{judge: decision, aspects: [clarity], model: {model}}}}}\n"
    spec.write_text(text + judges, "utf-8")
    assert (
        "gives `judge` steps no GPU" in resolved(spec, "executor=slurm", "resources.generate.num_gpus=1").why
    )
    assert resolved(spec, "executor=slurm", "resources.judge.num_gpus=1").engine == "vllm"


def xp(spec: Path, command: str, *options: str) -> Result:
    return CliRunner().invoke(app, [command, *options, "--store", str(spec.parent / ".xp")])


def test_a_plan_says_which_engine_was_taken_and_why(spec: Path) -> None:
    diff = diff_for(spec, None, None, spec.parent / ".xp")
    assert diff.reach[0] == "asks models.tiny.base with `engine: vllm` (auto): a GPU and vLLM are here"
    assert f"starts a vLLM server of {TINY}" in diff.reach
    assert chosen_lines(()) == ()
    published = json.loads(xp(spec, "plan", str(spec), "--json").stdout)
    assert published["engines"] == {"models.tiny.base": "vllm"}


def test_a_lock_made_with_another_engine_is_refused(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = spec.parent / ".xp"
    path, _ = locks.lock(spec, (), store)
    assert '"models.tiny.base": "vllm"' in path.read_text("utf-8")
    locks.refuse_moved(diff_for(spec, None, None, store), store / "cache")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    diff = diff_for(spec, None, None, store)
    assert any("it was vllm and is transformers now" in line for line in diff.warnings)
    with pytest.raises(SpecError, match=r"engines\.models\.tiny\.base.*it was vllm and is transformers now"):
        locks.refuse_moved(diff, store / "cache")


def test_a_plan_saved_with_another_engine_is_refused(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = spec.parent / "plan.json"
    assert xp(spec, "plan", str(spec), "--out", str(saved)).exit_code == 0
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    applied = xp(spec, "apply", str(saved), "--yes", "--no-report")
    assert applied.exit_code == 2
    assert "models.tiny.base, left open by the spec, was asked with vllm, and is with transformers" in (
        applied.stderr
    )


def test_a_plan_that_looks_for_a_gpu_loads_no_torch(spec: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from xp.studies import diff_for;"
        f"found = diff_for(Path({str(spec)!r}), None, None, Path({str(spec.parent / '.xp')!r}));"
        "print(found.plan.engines[0].engine, sorted({'torch', 'transformers', 'vllm'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split("\n")[0] == "vllm []"


def test_what_another_engine_changes_in_a_step_is_said_by_its_name() -> None:
    here = Weights(path=str(TINY), dtype="bfloat16")
    there = Served(path=str(TINY), args={"max_model_len": 64}, counted_args={"max_model_len": 64})
    for old, new in ((here, there), (there, here)):
        found = {one.path: (one.old, one.new) for one in differences(old, new, ("model",), new)}
        assert found == {
            ("model", "engine"): (old.engine, new.engine),
            ("model", "dtype"): (old.dtype, new.dtype),
        }

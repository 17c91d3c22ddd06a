# Everything a developer or a new user types. PYTHON may name any Python from 3.11 on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run ui test test-long lint e2e bench bench-gpu simulate fuzz faults drain accuracy accuracy-full image node lock clean
.DELETE_ON_ERROR:

# GPU=1 adds cuBLAS and serves large-v3.
ifdef GPU
run: $(VENV)/.run $(VENV)/.cuda
	@$(BIN)/asr-api serve $(ARGS)
else
run: $(VENV)/.run ## the service on Whisper base
	@$(BIN)/asr-api serve --model base $(ARGS)
endif

ui: $(VENV)/.run $(VENV)/.ui ## the same with a page to try it, at /ui
	@$(BIN)/asr-api serve --model base --ui $(ARGS)

test: $(VENV)/.dev lint ## lint, and all tests but those that take their time
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-long: $(VENV)/.dev ## the tests that take their time: faults, benchmarks, long recordings
	$(BIN)/pytest -m long --numprocesses auto --maxprocesses 4 --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/mypy -p tools.accuracy
	$(BIN)/mypy -p tools.dashboards

e2e: $(VENV)/.dev ## only the tests that start the real server
	$(BIN)/pytest -m e2e

simulate: $(VENV)/.dev ## queue and admission, a million steps under a virtual clock
	$(BIN)/python -m tests.simulation $(ARGS)

fuzz: $(VENV)/.dev ## 100,000 mutants of seven formats through the decode workers
	$(BIN)/python -m tests.fuzz $(ARGS)

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/load.py $(ARGS)

WIDEN_PYTHON ?= $(VENV)/widen/bin/python
ifneq ($(findstring --rehearse,$(ARGS))$(findstring --list,$(ARGS)),)
bench-gpu: $(VENV)/.dev
	$(BIN)/python benchmarks/gpu.py $(ARGS)
else
bench-gpu: $(VENV)/.dev $(VENV)/.cuda $(VENV)/.widen ## engine and service on a GPU in every setting; ARGS=--rehearse tries it on a CPU
	$(BIN)/python benchmarks/gpu.py --widen-python $(WIDEN_PYTHON) $(ARGS)
endif

faults: $(VENV)/.dev ## break a running server; FAULTS=long for the full counts, two hours
	$(BIN)/python -m tests.faults $(if $(filter long,$(FAULTS)),--long) $(ARGS)

drain: $(VENV)/.dev ## SIGTERM under load, a hundred times: nobody is left without an answer
	$(BIN)/python -m tests.drain $(ARGS)

accuracy: $(VENV)/.dev ## real recordings through the service, beside faster-whisper: what the repository carries
	$(BIN)/python -m tools.accuracy $(ARGS)

accuracy-full: $(VENV)/.dev ## the same with Debian's recordings, which apt-get fetches; needs espeak-ng
	$(BIN)/python -m tools.accuracy --full $(ARGS)

image: ## the image without Docker, as root: its lines are run, and what they made is asked for words
	$(PYTHON) -m tests.deploy.replay

node: ## OpenAI's client for Node, for its test
	npm install --no-package-lock --no-fund --no-audit --prefix tests/e2e/node

lock: $(VENV)/.dev ## choose the newest packages and write them down
	$(PIP) install uv
	$(BIN)/uv pip compile --upgrade $(LOCK) --output-file locks/run.txt
	$(BIN)/uv pip compile --upgrade $(LOCK) --extra cuda --constraints locks/run.txt --output-file locks/cuda.txt
	$(BIN)/uv pip compile --upgrade $(LOCK) --extra ui --constraints locks/run.txt --output-file locks/ui.txt
	$(BIN)/uv pip compile --upgrade $(LOCK) --group dev --constraints locks/run.txt --output-file locks/dev.txt

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links pyproject.toml --extra base --group build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "asr-api needs Python 3.11 or later; name one with make PYTHON=python3.12")'
	@echo "installing into $(VENV), once" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: locks/run.txt pyproject.toml | $(BIN)/python
	@$(PIP) install --require-hashes --requirement locks/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.cuda: locks/cuda.txt $(VENV)/.run
	@$(PIP) install --require-hashes --requirement locks/cuda.txt
	@touch $@

$(VENV)/.widen: | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)/widen
	@$(VENV)/widen/bin/python -m pip --disable-pip-version-check --quiet install torch ctranslate2 tokenizers numpy
	@touch $@

$(VENV)/.ui: locks/ui.txt $(VENV)/.run
	@$(PIP) install --require-hashes --requirement locks/ui.txt
	@touch $@

$(VENV)/.dev: locks/dev.txt $(VENV)/.run
	@$(PIP) install --require-hashes --requirement locks/dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

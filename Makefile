# One command each: studio, film, test, bench, check. What is missing is set up in .venv first; a second run is quick.
#
#   PYTHON    the interpreter .venv is made with
#   TORCH     the build of torch, from TORCH_INDEX: cpu is small; cu126 and others are for GPUs. Empty: PyPI's
#   PIP_ARGS  further arguments for pip
#   BENCH     further arguments for the benchmark, such as --only 32k, --seconds 170, --publish

PYTHON      ?= python3
TORCH       ?=
TORCH_INDEX ?= https://download.pytorch.org/whl
PIP_ARGS    ?=
TESTS       ?= tests

VENV := .venv
BIN  := $(VENV)/bin
NODE := node_modules

TORCH_VERSION = $(shell sed -n 's/^ *"\(torch[<>=].*\)",$$/\1/p' pyproject.toml)

NO_PIP := echo "pip could not install everything; see above. It needs the network; run make again once it is there."
NO_NPM := echo "npm could not install the tools that check static/; see above. It needs registry.npmjs.org; run make again."

.DEFAULT_GOAL := help
.PHONY: help studio film test soak bench bench-gpu check docs format clean

help:
	@echo "make studio  open the studio in the browser, with a sample film in it"
	@echo "make film    render projects/examples/the-red-kite.yaml and print the film's path"
	@echo "make test    run every test"
	@echo "make soak    what is promised about kills, queues, undo, disks and tabs at full size; takes hours"
	@echo "make bench   attention, late shots and denoising, checked and timed on the CPU: about 7 minutes on"
	@echo "             2 cores, BENCH='--only 8k' one case, BENCH=--help; make bench-gpu: on a GPU, an hour at most"
	@echo "make check   lint, formatting, strict types, who imports whom"
	@echo "make docs    the reference of the public modules as HTML, in build/docs"
	@echo "make format  put the code into its usual form"
	@echo "make clean   remove .venv, node_modules and caches"

studio: $(VENV)/.installed
	@$(BIN)/moc-studio sample && $(BIN)/moc-studio serve --open

film: $(VENV)/.installed
	@$(BIN)/moc-studio render projects/examples/the-red-kite.yaml --resume

test: $(VENV)/.installed-dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(TESTS)

soak: $(VENV)/.installed-dev
	@SOAK_EXAMPLES=500 SOAK_STEPS=50 SOAK_KILLS=1000 SOAK_JOBS=1000 SOAK_FREEZES=20 SOAK_FULL_PAGES=1 \
	    SOAK_SAME_SHOTS=20 SOAK_COMMANDS=200 SOAK_RELOADS=20 SOAK_TABS=20 \
	    OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s \
	    tests/studio/store tests/studio/jobs/test_queue.py \
	    tests/studio/worker/test_frozen_worker.py tests/studio/worker/test_same_frames.py \
	    tests/studio/exchange/test_round_trips.py tests/browser/test_outliving.py

bench: $(VENV)/.installed-bench
	@$(BIN)/python -m moc_engine.evaluation.benchmark --device cpu $(BENCH)

bench-gpu: $(VENV)/.installed-bench-gpu
	@$(BIN)/python -m moc_engine.evaluation.benchmark --device cuda $(BENCH)

check: $(VENV)/.installed-dev $(NODE)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(NODE)/.bin/biome ci --error-on-warnings
	$(NODE)/.bin/tsc

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/reference.py build/docs
	$(BIN)/python docs/links.py build/docs moc_engine $(wildcard *.md)

format: $(VENV)/.installed-dev $(NODE)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(NODE)/.bin/biome check --write

clean:
	rm -rf $(VENV) $(NODE) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

$(VENV)/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || \
	    { echo "No '$(PYTHON)' here; Python 3.11 or newer is needed (make PYTHON=... names another)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed, '$(PYTHON)' is $$($(PYTHON) -V); make PYTHON=... names another."; exit 1; }
	@$(PYTHON) -m studio.cli.installation $(if $(TORCH),$(TORCH_INDEX)/$(TORCH))
	@echo "Setting up $(VENV); the first time takes a few minutes, most of them for torch."
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made in $(VENV); see above."; exit 1; }
	@$(if $(TORCH),$(BIN)/python -m pip install --timeout 15 --retries 1 --index-url $(TORCH_INDEX)/$(TORCH) \
	    "$(TORCH_VERSION)" || { $(NO_PIP); exit 1; })
	@$(BIN)/python -m pip install $(PIP_ARGS) --editable . || { $(NO_PIP); exit 1; }
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo "Setting up what tests and checks need."
	@$(BIN)/python -m pip install --quiet $(PIP_ARGS) --editable '.[dev]' || { $(NO_PIP); exit 1; }
	@touch $@

# The benchmark draws its plots with matplotlib; on a GPU it needs Triton. dev has both.
$(VENV)/.installed-bench: pyproject.toml $(VENV)/.installed
	@test -e $(VENV)/.installed-dev || \
	    $(BIN)/python -m pip install --quiet $(PIP_ARGS) --editable '.[train]' || { $(NO_PIP); exit 1; }
	@touch $@

$(VENV)/.installed-bench-gpu: pyproject.toml $(VENV)/.installed
	@test -e $(VENV)/.installed-dev || \
	    $(BIN)/python -m pip install --quiet $(PIP_ARGS) --editable '.[gpu,train]' || { $(NO_PIP); exit 1; }
	@touch $@

# For check and format alone: neither the studio nor its tests need Node.
$(NODE)/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "make check needs Node.js 18 or newer and npm, for static/."; exit 1; }
	@npm ci --no-audit --no-fund --fetch-retries=1 --loglevel=error || { $(NO_NPM); exit 1; }
	@touch $@

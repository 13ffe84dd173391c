# One word a thing to do; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# the tests open every page in a browser; Debian's is fetched where that is allowed
CHROMIUM := command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	{ test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install --no-install-recommends --yes chromium; }

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fmt bench

help: ## Show this list.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

setup: ## Make .venv and install the package with what its tests need.
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev --editable .
	@touch $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory setup

demo: $(VENV)/ready ## Draw pictures, train, evaluate, predict, report: under five minutes on two cores.
	@test ! -e demo || (echo "demo/ is there already: remove it first" >&2; exit 2)
	$(BIN)/maskrcnn demo --out demo

test: $(VENV)/ready check ## Run the checks and every test.
	@$(CHROMIUM) || echo "no Chromium: no page is opened in a browser" >&2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

check: $(VENV)/ready ## Lint, types, floors.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/ready ## Put the code into its form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/ready ## Run the benchmarks whose tables are in bench/.
	$(BIN)/python bench/ops.py
	$(BIN)/python bench/memory.py

# Everything runs in .venv, which is made on first use. `make PYTHON=python3.12 ...` picks another interpreter.
PYTHON ?= $(shell command -v python3.11 || command -v python3.10 || command -v python3.12 || command -v python3)
EXTRAS := serve,export,loadtest,alternatives,dev
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SPARK := $(VENV)/spark
FEAST := .venv-feast

.PHONY: help demo test lint serve clean perf_analyzer feast spark

help:
	@echo "make demo           from raw events to recommendations out of a running Triton, in one command"
	@echo "make serve          serve build/repository until Ctrl-C"
	@echo "make test           run the tests"
	@echo "make lint           ruff and mypy"
	@echo "make perf_analyzer  put NVIDIA's load generator at build/bin/perf_analyzer"
	@echo "make spark          put Spark into .venv, for --engine spark and its tests; needs Java 17"
	@echo "make feast          put Feast into .venv-feast, for the user rows in a feature store"
	@echo "make clean          remove .venv, .venv-feast, build and caches"

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

serve: $(INSTALLED)
	$(BIN)/trident serve

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

perf_analyzer: $(INSTALLED)
	$(BIN)/python -m trident_loadtest.perf_analyzer

spark: $(SPARK)

$(SPARK): $(INSTALLED)
	@$(BIN)/python -m trident_export.data.java
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS),spark]'
	@touch $@

feast: $(FEAST)/installed

# An environment of its own: Feast needs numpy 2, the server numpy 1.
$(FEAST)/installed: deploy/feast/requirements.txt | $(INSTALLED)
	@test -x $(FEAST)/bin/python || $(PYTHON) -m venv $(FEAST)
	$(FEAST)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is needed: install python3.11" >&2; exit 1; }
	@$(PYTHON) -m trident.serving.native
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  v=$$($(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	  echo "$$v cannot make virtual environments: install $$v-venv (Debian, Ubuntu: apt install $$v-venv)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time takes a few minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $@

clean:
	rm -rf $(VENV) $(FEAST) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

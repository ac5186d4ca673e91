# The words people and CI use. Everything is installed into .venv, with the versions of constraints.txt.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 12))
PYTHON ?= $(shell for p in python3.12 python3.13 python3.14 python3 python; do \
	$$p -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && { command -v $$p; break; }; done)

.PHONY: install demo test lint bench clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.12 or newer was found. On Debian 13: apt-get install python3 python3-venv; elsewhere: https://www.python.org/downloads/ or 'uv python install 3.12', then make PYTHON=/path/to/python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	touch $@

demo: install
	$(BIN)/srp demo

# One process a core, one thread each: threads of several processes would fight for the cores.
test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python benchmarks/hundred_megapixels.py

clean:
	rm -rf $(VENV) demo-output build *.egg-info

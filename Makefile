# The words people and CI use. Everything is installed into .venv, with the versions of constraints.txt.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS ?= .venv-peers
# make CPU=1 install: PyTorch without CUDA, several gigabytes less
# (torchvision's ordinary wheel needs the ordinary torch; what both need comes from the ordinary index:
# that of the wheels for processors holds few versions of it, and seldom those of constraints.txt)
CPU_WHEELS := https://download.pytorch.org/whl/cpu
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 12))
PYTHON ?= $(shell for p in python3.12 python3.13 python3.14 python3 python; do \
	$$p -c '$(IS_NEW_ENOUGH)' >/dev/null 2>&1 && { command -v $$p; break; }; done)

.PHONY: install demo test lint docs docs-check shaders bench clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.12 or newer was found. On Debian 13: apt-get install python3 python3-venv; elsewhere: https://www.python.org/downloads/ or 'uv python install 3.12', then make PYTHON=/path/to/python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(if $(CPU),$(BIN)/python -m pip install --disable-pip-version-check --no-deps -c constraints.txt torch torchvision --index-url $(CPU_WHEELS))
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	touch $@

demo: install
	$(BIN)/srp demo

# One process a core, one thread each: threads of several processes would fight for the cores. Hundreds of tests start
# Python again: it keeps the bytecode of our modules.
test: install
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The docs folder and the Python reference as a site that opens from disk; a warning or a broken link fails.
docs: $(VENV)/.installed-docs
	rm -rf build/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

$(VENV)/.installed-docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# Every command of README and docs, run in scratch folders; takes up to half an hour. PAGES=docs/gimp.md: of that page only
docs-check: install
	$(BIN)/python tests/documented_commands.py $(PAGES)

# The shaders in the package, from the weights beside them; a test fails where they are of others.
shaders: install
	$(BIN)/python -c "from sr_plugins.exporters.glsl import make_shipped; make_shipped()"

# About a quarter of an hour on two cores; run it while the machine does nothing else. docs/benchmarks.md says what shows what.
bench: install $(PEERS)
	$(BIN)/srp bench --model tiny,fast --size 640x360,1280x720 --backend openvino,torch
	$(BIN)/srp bench --model tiny,fast --size 640x360,1280x720 --backend openvino --precision int8
	-$(BIN)/python benchmarks/backends.py --rounds 3
	-$(BIN)/python benchmarks/vapoursynth_peers.py --peers $(PEERS) --frames 48 --ours openvino:auto,openvino:int8
	-$(BIN)/python benchmarks/vapoursynth_peers.py --peers $(PEERS) --frames 48 --ours openvino:auto,openvino:int8 --model tiny
	-$(BIN)/python benchmarks/adapters.py --frames 240 --rounds 2
	-$(BIN)/python benchmarks/vapoursynth_overhead.py --rounds 3 --formats YUV420P8,YUV420P10
	-$(BIN)/python benchmarks/resting_tiles.py
	-$(BIN)/python benchmarks/cold_start.py
	-$(BIN)/python benchmarks/video_memory.py --frames 5000
	-$(BIN)/python benchmarks/hundred_megapixels.py

$(PEERS):
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check "vapoursynth>=74" vapoursynth-mlrt-ov vapoursynth-mlrt-ort

# All that was made here but runs/, which holds what somebody trained.
clean:
	rm -rf $(VENV) $(PEERS) demo-output build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

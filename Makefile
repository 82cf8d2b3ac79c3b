# Every target sets itself up: .venv is made once and reused; pip installs under constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# TORCH=2.10.0 stands for another torch than that of constraints.txt; give its environment a name by VENV.
TORCH ?=
CONSTRAINTS := $(if $(TORCH),$(VENV)/constraints.txt,constraints.txt)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c $(CONSTRAINTS)
WORKERS ?= 2
# Where a machine's Python is told to write no bytecode, every process would compile the package's 670 files anew.
export PYTHONDONTWRITEBYTECODE :=
# Files or folders of tests, for test-suite and test-matrix; all where none is named.
TESTS ?=

.PHONY: demo docs test test-suite test-keras-jax test-gpu test-matrix test-triton lint types bench literature nightly zoo clean setup setup-dev

$(VENV)/.core: pyproject.toml constraints.txt
	@echo "setup: creating $(VENV) and installing initlab (first time: a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(if $(TORCH),sed 's/^torch==.*/torch==$(TORCH)/' constraints.txt > $(CONSTRAINTS),:)
	@$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "setup: installing the development tools into $(VENV)"
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	@echo "setup: installing the documentation tools into $(VENV)"
	@$(PIP) -e '.[docs]'
	@touch $@

setup: $(VENV)/.core

setup-dev: $(VENV)/.dev

demo: $(VENV)/.core
	@$(BIN)/initlab demo --report initlab-demo.html

# Runs every block of code of the pages; a warning or a block that fails is an error.
docs: $(VENV)/.docs
	@$(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs/site docs/_build/html
	@echo "docs: docs/_build/html/index.html"

lint: $(VENV)/.dev
	@echo "lint: ruff, import directions"
	@$(BIN)/ruff check src tests benchmarks docs/site
	@$(BIN)/ruff format --check src tests benchmarks docs/site
	@$(BIN)/lint-imports

types: $(VENV)/.dev
	@echo "types: mypy --strict, here and as on Windows at once"
	@$(BIN)/mypy & here=$$!; $(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32; there=$$?; wait $$here && exit $$there

test: lint types test-suite test-keras-jax

# Triton comes with torch's builds for GPUs; beside a CPU build it is put into an environment of its own, where its
# interpreter runs the kernels against the golden hashes and its compiler writes PTX for an H100.
test-triton: $(VENV)/.dev
	@test -x .venv-triton/bin/python || $(PYTHON) -m venv .venv-triton
	@.venv-triton/bin/python -m pip --disable-pip-version-check install --quiet triton==3.9.0
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > \
		"$$(.venv-triton/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/initlab-dev.pth"
	@PYTHONPATH=src .venv-triton/bin/python -m pytest -q tests/sampling/test_sampling_device.py

# On a machine with a CUDA device: the device tests, then figures as ratios. GPU_PYTHON's own packages are taken where its
# torch sees a device, else those of $(VENV), which is set up where a driver is here; nothing is fetched after that.
GPU_PYTHON ?= python3
SEES := import sys, torch, cloudpickle, hypothesis, loky, numba, optuna, pytest, scipy, sqlalchemy, threadpoolctl; \
	sys.exit(0 if torch.cuda.is_available() else f"torch {torch.__version__} sees no CUDA device")
test-gpu:
	@for python in $(GPU_PYTHON) $(BIN)/python; do \
		if [ $$python = $(BIN)/python ] && [ ! -e $(VENV)/.dev ]; then \
			nvidia-smi -L >/dev/null 2>&1 || continue; \
			$(MAKE) --no-print-directory setup-dev || exit 1; \
		fi; \
		if $$python -c '$(SEES)' 2>.test-gpu; then \
			rm -f .test-gpu; \
			export PYTHONPATH=src:.; \
			echo "test-gpu: $$python, $$($$python -c 'import torch; print(torch.__version__)')"; \
			$$python -m pytest -q tests/gpu/test_on_a_gpu.py tests/sampling/test_sampling_device.py && exec $$python -m benchmarks gpu; \
			exit 1; \
		fi; \
		echo "test-gpu: $$python: $$(tail -1 .test-gpu)"; \
		rm -f .test-gpu; \
	done; \
	echo "test-gpu: no CUDA device is here; nothing was tested"

# The suite in an environment of its own for each Python and torch: PYTHONS names the commands (pyenv's are found where
# the path has none), TORCHES the versions, `pinned` that of constraints.txt. One that fails stops no other.
PYTHONS ?= python3.11 python3.12 python3.13
TORCHES ?= pinned
PYENVS := $${PYENV_ROOT:-$$HOME/.pyenv}/versions
test-matrix:
	@failed=; \
	for python in $(PYTHONS); do \
		found=$$python; \
		$$python -c "" 2>/dev/null || found=$$(ls $(PYENVS)/$${python#python}*/bin/$$python 2>/dev/null | tail -1); \
		if [ -z "$$found" ]; then echo "test-matrix: $$python is not on this machine, skipped"; continue; fi; \
		for torch in $(TORCHES); do \
			echo "test-matrix: $$found, torch $$torch"; \
			[ $$torch = pinned ] && torch= ; \
			$(MAKE) --no-print-directory VENV=.venv-$$python$${torch:+-torch$$torch} PYTHON=$$found TORCH=$$torch \
				$(MATRIX) || failed="$$failed $$python$${torch:+ with torch $$torch},"; \
		done; \
	done; \
	[ -z "$$failed" ] || { echo "test-matrix: failed on$${failed%,}"; exit 1; }
# What it does in each: MATRIX=setup-dev makes the environments alone.
MATRIX ?= test-suite

test-suite: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not nightly" $(TESTS)

# The suite runs Keras on torch; its own tests run once more on jax.
test-keras-jax: $(VENV)/.dev
	@KERAS_BACKEND=jax $(BIN)/python -m pytest -q -n $(WORKERS) -m "not nightly" tests/integrations/test_keras_*.py

nightly: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n $(WORKERS) -m nightly

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks

# Models of other libraries: an environment of its own (6 GB), since torchvision does not go with the small torch build.
.zoo/.ready: pyproject.toml
	@echo "zoo: an environment with torch, torchvision, timm and transformers (6 GB)"
	@test -x .zoo/bin/python || $(PYTHON) -m venv .zoo
	@.zoo/bin/python -m pip --disable-pip-version-check install --quiet torch==2.14.1 torchvision==0.29.1 timm transformers \
		diffusers x-transformers vit-pytorch segmentation-models-pytorch
	@.zoo/bin/python -m pip --disable-pip-version-check install --quiet -e .
	@touch $@

zoo: .zoo/.ready
	@.zoo/bin/python -m benchmarks.zoo

# The full runs take hours and go on where they were stopped; their outcomes are kept in docs/outcomes.
literature: $(VENV)/.core
	@$(BIN)/initlab reproduce --all
	@$(BIN)/python -m initlab.experiments.literature initlab-literature docs/outcomes docs/literature.md

clean:
	rm -rf $(VENV) .venv-* .zoo docs/_build .pytest_cache .mypy_cache .ruff_cache

# make compose   four pieces with the weights that ship, from nothing but python3
# make test      the tests;  make test-slow: those that take minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CORPUS ?= ../shared/corpus ../shared/corpus_openscore
COMPILED := $(foreach pxd,$(wildcard src/bicinium/*/*.pxd src/bicinium/*/*/*.pxd),$(pxd) $(pxd:.pxd=.py)) $(wildcard src/bicinium/model/_network*.[ch])
PYTHONS ?= $(PYTHON)
CONFIG ?= configs/training_configs/default_model.yaml

.PHONY: setup compose train prepare test test-slow check metrics docs bench wheel sdist wheel-test sbom audit clean

compose: $(VENV)/base
	$(BIN)/bicinium compose -n 4 --bars 16 --out out

setup: $(VENV)/dev

# Compiles the grammar, if there is a C compiler; edited sources are compiled again
$(VENV)/base: pyproject.toml setup.py $(COMPILED)
	@echo "Making $(VENV), and installing what composing needs; compiling takes a minute or more (BICINIUM_UNCOMPILED=1 leaves it out)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

# torch first and alone: this exact version is the CPU build, others pull gigabytes
$(VENV)/dev: $(VENV)/base constraints.txt
	@echo "Installing torch for the CPU, the largest download"
	$(PIP) --constraint constraints.txt torch
	@echo "Installing what training and the tests need"
	$(PIP) --constraint constraints.txt --editable '.[train,dev]'
	@touch $@

prepare: $(VENV)/dev
	$(BIN)/bicinium corpus prepare $(CORPUS) --out data/prepared

train: $(VENV)/dev
	$(BIN)/bicinium train $(CONFIG)

test: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slow: $(VENV)/dev
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow -s

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# the structure of the package against its targets
metrics: $(VENV)/dev
	$(BIN)/python tools/metrics.py

# the documentation site, in site/index.html
docs: $(VENV)/dev
	$(PIP) --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python tools/check_site.py site

bench: $(VENV)/dev
	$(PIP) --constraint constraints.txt --editable '.[bench]'
	BICINIUM_CORPUS=$(firstword $(CORPUS)) $(BIN)/python -m benchmarks

# a bill of materials: every installed package with its version and licence
sbom: $(VENV)/dev
	$(PIP) --constraint constraints.txt --editable '.[audit]'
	$(BIN)/cyclonedx-py environment --output-file sbom.json $(BIN)/python

# the installed packages against the database of known vulnerabilities, where it can be reached
audit: $(VENV)/dev
	$(PIP) --constraint constraints.txt --editable '.[audit]'
	$(PYTHON) tools/audit.py $(BIN)/pip-audit

# what a release uploads, in dist/; docs/release.md says how a release is made
wheel: $(VENV)/release
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/twine check --strict dist/*.whl

sdist: $(VENV)/release
	$(BIN)/python -m build --sdist --outdir dist .
	$(BIN)/twine check --strict dist/*.tar.gz

# the wheels in fresh environments: make wheel-test PYTHONS="python3.11 python3.12"
wheel-test:
	$(PYTHON) tools/wheel_matrix.py dist/*.whl --python $(foreach python,$(PYTHONS),$(shell command -v $(python)))

$(VENV)/release: $(VENV)/base constraints.txt
	$(PIP) --constraint constraints.txt --editable '.[release]'
	@touch $@

clean:
	rm -rf $(VENV) out build dist site
	find src -name '*.so' -delete

# make demo: Table 1 on handwritten digits, four minutes on two cores. make test: the whole suite.
# make bench: training speed beside PyTorch on this processor, at most ten minutes. make bench-gpu: on this machine's
# NVIDIA GPU, at most nine; needs no more than PYTHON=... with jax, flax, optax and torch.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test results bench bench-gpu format clean

demo: .venv/installed
	$(BIN)/ablations train study=demo
	$(BIN)/ablations table study=demo

test: .venv/installed
	$(BIN)/python -m pytest

# The tables of results/, from the records there; what is missing on the digits is trained, 20 minutes on two cores.
results: .venv/installed
	$(BIN)/ablations train study=table1 seeds=3 runs_dir=results/digits
	$(BIN)/ablations table study=table1 runs_dir=results/digits format=markdown out=results/table1-digits.md
	$(BIN)/ablations table study=table1 runs_dir=results/digits format=csv out=results/table1-digits.csv
	$(BIN)/ablations table study=demo runs_dir=results/cifar10 format=markdown out=results/shortcuts-resnet20-cifar10.md
	$(BIN)/ablations table study=demo runs_dir=results/cifar10 format=csv out=results/shortcuts-resnet20-cifar10.csv

bench: .venv/bench
	$(BIN)/python -m benchmarks.compare --device cpu --minutes 9 --out benchmarks/cpu.json

bench-gpu:
	$(PYTHON) -m benchmarks.compare --device cuda --minutes 8 --out benchmarks/cuda.json

format: .venv/installed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

clean:
	rm -rf .venv build *.egg-info

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "ablations needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

.venv/bench: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,bench]'
	@touch $@

# make demo: eight shortcuts at 20 and at 110 layers on handwritten digits, six to nine minutes on two cores. make test:
# the whole suite.
# make check: format, lint, types and which package imports which, a minute; make format mends the first two.
# make bench: training speed beside PyTorch on this processor, at most ten minutes. make bench-gpu: on this machine's
# NVIDIA GPU, at most nine; needs no more than PYTHON=... with jax, flax, optax and torch.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check test results results-train results-why bench bench-gpu format clean

demo: .venv/installed
	$(BIN)/ablations train study=demo
	$(BIN)/ablations table study=demo
	$(BIN)/ablations report study=demo

check: .venv/installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python
	$(BIN)/python -m pytest -n 0 ablations_tests/house_test.py

test: .venv/installed
	$(BIN)/python -m pytest

# The tables, figures and the page of results/, from the records there: a minute.
DIGITS := runs_dir=results/digits
SHORT := study=table1 recipe.total_steps=400 runs_dir=results/cifar10
TENTH := study=table1 recipe=short precision=bf16 runs_dir=results/cifar10
STUDIES := $(notdir $(wildcard results/digits/*))
results: .venv/installed
	@for study in $(STUDIES); do \
	    $(BIN)/ablations table study=$$study $(DIGITS) format=markdown out=results/$$study-digits.md && \
	    $(BIN)/ablations table study=$$study $(DIGITS) format=csv out=results/$$study-digits.csv && \
	    $(BIN)/ablations figure study=$$study $(DIGITS) out=results/figures || exit 1; \
	done
	@for study in $(filter depth%,$(STUDIES)); do \
	    $(BIN)/ablations critical study=$$study $(DIGITS) probes=results/why format=markdown out=results/$$study-critical.md || exit 1; \
	done
	$(BIN)/ablations report runs_dir=results/digits out=results/report.html
	$(BIN)/ablations table $(SHORT) format=markdown out=results/shortcuts-resnet20-cifar10.md
	$(BIN)/ablations table $(SHORT) format=csv out=results/shortcuts-resnet20-cifar10.csv
	$(BIN)/ablations table $(TENTH) format=markdown out=results/table1-short-cifar10.md
	$(BIN)/ablations table $(TENTH) format=csv out=results/table1-short-cifar10.csv

# Train the rows of the digits that are missing or of an older recipe: hours on two cores, and goes on where it was stopped.
results-train: .venv/installed
	@for study in depth table1 table2 table3 depth_orders degradation; do \
	    $(BIN)/ablations train study=$$study seeds=3 data=digits recipe=digits $(DIGITS) || exit 1; done
	@for study in densenet families; do \
	    $(BIN)/ablations train study=$$study seed=0 data=digits recipe=digits $(DIGITS) || exit 1; done
	@$(BIN)/ablations train study=unet seeds=3 $(DIGITS)

# results/why/: what the networks of the rows are like inside. Measured where the runs have weights (ablations train
# ... runs_dir=results/digits force=true makes them), some two minutes a row; else drawn from what was measured before.
# Of the studies of depth only what there is before training, a quarter of a minute a row.
results-why: .venv/installed
	@for table in table1 table2; do for look in "probe" "probe at=start" "lesion draws=10" "landscape directions=3"; do \
	    $(BIN)/ablations $$look study=$$table runs_dir=results/digits out=results/why format=svg || exit; done; done
	@for study in depth depth_orders; do \
	    $(BIN)/ablations probe at=start study=$$study runs_dir=results/digits out=results/why || exit; done

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

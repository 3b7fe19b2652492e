# make demo: Table 1 on handwritten digits, four minutes on two cores. make test: the whole suite.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test results results-why format clean

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

# results/why/: what the networks of the rows are like inside. Measured where the runs have weights (ablations train
# ... runs_dir=results/digits force=true makes them), some two minutes a row; else drawn from what was measured before.
results-why: .venv/installed
	for table in table1 table2; do for look in "probe" "probe at=start" "lesion draws=10" "landscape directions=3"; do \
	    $(BIN)/ablations $$look study=$$table runs_dir=results/digits out=results/why format=svg || exit; done; done

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

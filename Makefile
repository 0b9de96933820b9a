# make demo   install if needed, then run the whole ablation on this machine (offline once installed)
# make test   install if needed, then run the tests
VENV := .venv
PYTHON ?= python3
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow lint clean

demo: $(INSTALLED)
	$(VENV)/bin/harness run-recipe ablation_full

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest

test-slow: $(INSTALLED)
	$(VENV)/bin/python -m pytest -m slow

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest tests/test_architecture.py

clean:
	rm -rf $(VENV) runs build dist *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "harness needs Python 3.11 or newer; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

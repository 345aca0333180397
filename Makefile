# Watchkeeper on a bare machine: Python 3.11 to 3.13 and make. `make demo` shows it, `make up` starts it, `make test` tests it.
.DEFAULT_GOAL := help
.PHONY: help install demo up test faults faults-baseline law fuzz lint audit doctor clean

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& echo $$python && break; done)
PY := .venv/bin/python
INSTALLED := .venv/installed

help: ## What there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile

install: $(INSTALLED) ## Make .venv; again only when the requirements have changed

$(INSTALLED): requirements.txt requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv found:" \
		"install one (on Debian also python3-venv), or name it: make install PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	@echo "Installing the pinned packages into .venv: about 600 MB, half a minute with a fast network."
	@$(PY) -m pip install --disable-pip-version-check -r requirements-dev.txt || { echo \
		"The packages could not be installed: check the network," \
		"or name a mirror with PIP_INDEX_URL, and run 'make install' again." >&2; exit 1; }
	@touch $@

demo: install ## Everything at once on a local chain, then a table of what happened
	@$(PY) manage.py demo

up: install ## Start everything and keep it running; Ctrl-C stops it
	@$(PY) manage.py up

test: install ## All tests, on real servers, in two processes
	@$(PY) -m pytest -n 2 --dist worksteal

SEED ?= 7

faults: install ## The fault matrix: everything that can die does, under load; SEED=7 draws the moments
	@$(PY) -m tests.faults --seed $(SEED)

faults-baseline: install ## The same faults on plain Celery, side by side with its hardened form; a comparison, ends with 0
	@$(PY) -m tests.faults.baseline

law: install ## A long walk of reorgs and crashes, each quiet point equal to a clean index; STEPS=2000 SEED=7
	@WK_LAW_STEPS=$(or $(STEPS),2000) $(PY) -m pytest tests/chain/test_law.py --hypothesis-seed=$(SEED)

fuzz: install ## The API's document against the API, for longer: EXAMPLES=200 values an operation
	@SCHEMATHESIS_EXAMPLES=$(or $(EXAMPLES),200) $(PY) -m pytest tests/security/test_document.py

lint: install ## Style and types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

audit: install ## Known vulnerabilities in what is installed; asks PyPI, and fails when PyPI cannot say
	@$(PY) -m pip_audit --local --strict

doctor: install ## What this machine has and lacks
	@$(PY) manage.py doctor

clean: ## Remove .venv and everything under .run; refuses while the stack runs
	@test ! -e .run/stack.json -a ! -e .run/demo/stack.json || $(PY) manage.py reset --yes
	rm -rf .venv .run

# The two commands: make run, make test. They need Python 3.11 or later, with its venv module, and a
# package index; everything else, the brokers too, is installed into .venv.

PYTHON ?= python3
VENV ?= .venv
PORT ?= 8080
ARGS ?=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables, as in make run PORT=2323: PORT; PYTHON, if python3 is too old; ARGS, further"
	@echo "options of twistd's disroom in run (ARGS=--help lists them), and of pytest in test"

run: $(VENV)/installed-embedded ## A chat server on port 8080, with brokers of its own
	exec $(BIN)/twistd -n --pidfile= disroom --port $(PORT) $(ARGS)

test: lint ## Everything that is checked: lint, types, layers, and all tests but the longest
	$(BIN)/pytest -n 2 --dist loadscope -m "not faults" $(ARGS)

lint: $(VENV)/installed-dev ## Format, lint, types and layers alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## Remove the environment and what tools have cached
	rm -rf $(VENV) build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache

# The install is editable, so that only a change of the dependencies asks for it again. What is
# installed by `compat` is one line in a .pth file: twistd finds its plugins there, as it does not
# by setuptools' own way. $(1) is the extra. The environment is made anew each time, which mends one
# that was left half made, and takes nothing away from a whole one.
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "DisRoom needs Python 3.11 or later, and '$(PYTHON)' is not: name one, as in make PYTHON=python3.11"; \
	exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' || { \
	echo "'$(PYTHON)' comes without venv: install it (Debian and Ubuntu: apt-get install python3-venv)"; \
	exit 1; }
$(PYTHON) -m venv $(VENV)
$(BIN)/python -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat --editable '.[$(1)]'
endef

$(VENV)/installed-embedded: setup.cfg pyproject.toml
	$(call install,embedded)
	@touch $@

# It has all that the other has.
$(VENV)/installed-dev: setup.cfg pyproject.toml
	$(call install,dev)
	@touch $(VENV)/installed-embedded $@

# What the service takes, beside its yardsticks; docs/performance.md explains. Not part of the tests.
.PHONY: bench
bench: $(VENV)/installed-bench ## Measure the service; ARGS=--quick for a look, --help for more
	$(BIN)/python -m benchmarks $(ARGS)

$(VENV)/installed-bench: setup.cfg pyproject.toml
	$(call install,bench)
	@touch $(VENV)/installed-embedded $@

# One after the other: each measures how soon people talk again. About 10 minutes, and 20.
.PHONY: test-faults soak
test-faults: $(VENV)/installed-dev ## Every fault at its full length, and a line for each
	$(BIN)/pytest tests/faults $(ARGS)

soak: $(VENV)/installed-dev ## 20 minutes of talk with something killed every 30 s; ARGS=--help
	$(BIN)/python -m tests.faults.soak $(ARGS)

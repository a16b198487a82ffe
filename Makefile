# Two commands do all set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PEERS  := orthanc dcmtk libgdcm-tools postgresql redis-server systemd chromium chromium-driver

.PHONY: demo test soak screenshots lint statement lock peers clean

demo: $(VENV)/.runtime
	$(BIN)/media2dicom demo --folder demo

test: $(VENV)/.dev peers lint
	$(BIN)/pytest -n 3 --dist worksteal -m "not slow"

# What takes too long for `make test`: more clicks in the browser, many rows, machines that die in mid run.
soak: $(VENV)/.dev peers
	$(BIN)/pytest -m slow
	$(BIN)/pytest -s -o timeout=7200 tests/soak/several_machines.py tests/soak/one_machine.py

# The pictures of docs/operations.md.
screenshots: $(VENV)/.dev peers
	$(BIN)/python -m tests.browser.screenshots

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What the tests talk to: PACS servers, PostgreSQL for the ledger, a browser for the dashboard. Without apt or the rights for it they stay away, and their tests are skipped.
peers:
	@command -v Orthanc >/dev/null && command -v dcmqrscp >/dev/null && command -v gdcmconv >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && \
	command -v redis-server >/dev/null && command -v systemd-analyze >/dev/null && \
	command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $(PEERS); \
	else echo "Not every peer is here: apt-get install $(PEERS) runs the tests against them, too."; fi

# --no-deps: the lock files are complete, and old versions of pip cannot resolve extras with hashes.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/pip requirements.lock pyproject.toml
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install -q --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

# docs/conformance-statement.md, from the code's own tables.
statement: $(VENV)/.runtime
	$(BIN)/media2dicom conformance --out docs/conformance-statement.md

lock:
	uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header -q -o requirements.lock
	uv pip compile pyproject.toml --extra dev --extra cluster -c requirements.lock --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header -q -o requirements-dev.lock
	echo prefect-redis | uv pip compile - --no-deps -c requirements-dev.lock --python-version 3.11 --universal --generate-hashes \
	  --no-emit-index-url --no-header --no-annotate -q -o deployments/cluster.lock

clean:
	rm -rf $(VENV) demo

# `make demo` shows everything, `make test` proves it; both set up what they need.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
# Hundreds of processes import the same modules. Without bytecode on disk, each compiles them anew.
export PYTHONDONTWRITEBYTECODE =

# The first Python from 3.10 to 3.12; name another with `make PYTHON=python3.11`.
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
	2>/dev/null && echo $$python && break; done)
# The s2i builder image's Python, if this machine has it: the image's code is tested on it too.
PYTHON38 ?= $(shell for python in python3.8 "$$HOME"/.pyenv/versions/3.8.*/bin/python3.8; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 8))' \
	2>/dev/null && echo "$$python" && break; done)

RUN := .venv/bin/python
# More than cores: tests wait for brokers and processes much of their time.
WORKERS ?= 4
# Fewer where promises of time are held to.
STRICT_WORKERS ?= 3
RECIPE ?= fast

IMAGE ?= kmnist:0.1
BUILDER ?= seldonio/seldon-core-s2i-python38:1.17.1

.PHONY: help demo dashboard screenshots wheel sdist lock test test-unit test-full check faults bench train image kind cluster-test python demo-environment environment training environments clean

help:
	@echo "make demo        everything at work: Kafka, two replicas, images in, labels out"
	@echo "make dashboard   the same to look at and to steer: a web page"
	@echo "make test        all checks and tests (about 12 minutes)"
	@echo "make test-unit   the tests that need no broker"
	@echo "make test-full   the longer ones too"
	@echo "make faults      break everything for 20 minutes, and prove that nothing got lost"
	@echo "make bench       measure it, alone and beside others (hours), and write the report"
	@echo "make check       style, types, imports"
	@echo "make wheel       the package seldon-kafka, in dist/; make sdist its source"
	@echo "make lock        compile the requirements files again; UPGRADE=1 for the newest versions"
	@echo "make train       train the network again, or with RECIPE=accurate the other one"
	@echo "make image       the image that is served, with s2i or else Docker: IMAGE=NAME:TAG"
	@echo "make kind        a Kubernetes on this machine with all of it: kind, Helm, the internet"
	@echo "make cluster-test  what docs/kubernetes.md says, on the cluster in K8S_RIG"
	@echo "make screenshots take the pictures of the dashboard that the README shows"
	@echo "make clean       remove environments, caches and the local cluster"

python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: Python 3.10, 3.11 or 3.12 is needed, and none is on the PATH." \
		"Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; fi

# What the demo runs; all of development has that too.
demo-environment: python
	@./environment.sh .venv $(PYTHON) requirements-demo.txt requirements-dev.txt

environment: python
	@./environment.sh .venv $(PYTHON) requirements-dev.txt

training: python
	@./environment.sh .venv-train $(PYTHON) requirements-train.txt

environments: environment
	@./environment.sh .venv-beside $(PYTHON) tests/package/requirements.txt
	@if [ -n "$(PYTHON38)" ]; then ./environment.sh .venv-3.8 "$(PYTHON38)" requirements.txt; \
	else echo "no Python 3.8 here: what the image runs is tested on this Python only"; fi

demo: demo-environment
	@$(RUN) -m consumer.demo

dashboard: environment
	@$(RUN) -m consumer.dashboard --all $(DASHBOARD)

screenshots: environment
	@$(RUN) -m tests.browser.screenshots

wheel: environment
	@$(RUN) -m hatchling build --target wheel --directory dist

sdist: environment
	@$(RUN) -m hatchling build --target sdist --directory dist

lock: environment
	@uv=$$(./environment.sh --uv $(PYTHON)) && $(RUN) locks.py --uv "$$uv" $(if $(UPGRADE),--upgrade)

check: environment
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy
	$(RUN:python=lint-imports)

test: environments check
	$(RUN) -m pytest -n $(WORKERS) --dist loadgroup -m "not full and not alone"
	$(RUN) -m pytest -m "alone and not full"

test-unit: environment
	$(RUN) -m pytest -n $(WORKERS) -m "not full" tests/seldon_kafka tests/kafka tests/compatibility tests/consumer tests/producer

# Promises of time are held to here only: see tests/support/patience.py.
test-full cluster-test: export STRICT_TIMES = 1

test-full: environments training check
	$(RUN) -m pytest -n $(STRICT_WORKERS) --dist loadgroup -m "not alone"
	$(RUN) -m pytest -m alone

faults: environment
	@$(RUN) -m tests.faults $(FAULTS)

# TensorFlow's environment is there for one of the classes that are measured.
bench: environment training
	@$(RUN) -m bench $(BENCH)

train: environment training
	@.venv-train/bin/python -m model.train $(RECIPE)

image:
	@if ! command -v docker >/dev/null; then \
		echo "error: docker is not here. Install an engine, or build in the cluster:" \
		"sdep/training/build.yaml" >&2; exit 2; fi
	@if ! docker info >/dev/null 2>&1; then \
		echo "error: no Docker engine answers. Start it, or ask for the right to use it." >&2; exit 2; fi
	@if command -v s2i >/dev/null; then s2i build . $(BUILDER) $(IMAGE) $(S2I); \
	else docker build -f sdep/Dockerfile -t $(IMAGE) $(DOCKER) .; fi
	@echo "Built $(IMAGE): docker run -p 9000:9000 -p 8080:8080 $(IMAGE)"

kind: environment
	@$(RUN) -m sdep.kind up $(KIND)

cluster-test: environment
	@if [ -z "$(K8S_RIG)" ]; then \
		echo "error: K8S_RIG names no built cluster: see docs/kubernetes.md" >&2; exit 2; fi
	$(RUN) -m pytest tests/kubernetes tests/image -m full -rA

clean:
	@if [ -x $(RUN) ]; then $(RUN) -m kafka.cluster down || true; fi
	rm -rf .venv .venv-train .venv-3.8 .venv-beside .venv-bench .venv*.lock dist .cluster .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One door. `make help` lists the targets; each works from a fresh clone, as root or with sudo, without a terminal.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help deps peers clients tools swift build run test bench contract perf crash soak simulate fuzz format lint clean

PYTHON ?= python3
LISTEN ?= 127.0.0.1:8080
DATA   ?= ./data
KILLS  ?= 100
FILTER ?=
CASES  ?= 20000
SEED   ?= 1
SEEDS  ?= 100000
UNITS  ?=
MINUTES ?=
TARGET ?=
BYTES  ?= 1024
BINARY := .build/release/engram
LAID_OUT := Package.swift Sources Tests Benchmarks/Package.swift $(addprefix Benchmarks/,Smoke Suite Workloads) Fuzz/Package.swift Fuzz/Sources

LIBRARIES := liburing-dev librocksdb-dev libsqlite3-dev libssl-dev libtomlplusplus-dev curl python3
PEERS     := nginx libnginx-mod-nchan redis-server etcd-server wrk fio postgresql sqlite3
CLIENTS   := chromium python3-websockets openssl

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

deps: ## install the libraries that are absent
	@.ci/install $(LIBRARIES)

peers: ## install the programs that Engram is measured against, where absent
	@.ci/install $(PEERS)

clients: ## install the clients of others that the end-to-end tests use, where absent
	@.ci/install $(CLIENTS)

tools: deps ## the tools that check the contract, below .build
	@PYTHON=$(PYTHON) .ci/tools

swift:
	@command -v swift >/dev/null || { echo 'make: no `swift` on PATH; install Swift 6.3 (https://www.swift.org/install/linux/)' >&2; exit 69; }

build: swift ## build the release binary
	swift build -c release --static-swift-stdlib --product engram

run: deps build ## start a server on $(LISTEN), data in $(DATA)
	exec $(BINARY) serve --listen $(LISTEN) --data-dir $(DATA)

test: deps peers clients tools swift ## everything that must hold: unit, architecture, end to end, smoke of the benchmarks
	@$(PYTHON) .ci/test.py

bench: deps swift ## time and allocations of what is hot, one by one; FILTER=json for some
	@$(PYTHON) Benchmarks/run.py '$(FILTER)'

contract: deps tools build ## schemathesis against a live server: at least CASES requests, seeded by SEED
	$(PYTHON) Tests/Contract/run.py --cases $(CASES) --seed $(SEED)

perf: deps peers build ## the budgets, measured: about an hour
	$(PYTHON) Perf/run.py

soak: deps build ## UNITS posts (10,000,000) or MINUTES of them, of BYTES payload: memory, pace, log and reads stay as they are
	$(PYTHON) Perf/soak.py --bytes $(BYTES) $(if $(UNITS),--units $(UNITS)) $(if $(MINUTES),--minutes $(MINUTES))

crash: deps build ## kill -9 under load, KILLS times
	$(PYTHON) Tests/EndToEnd/run.py --full --only test_crash. --kills $(KILLS)

simulate: deps swift ## SEEDS seeded runs of the engine over simulated disk, clock and network
	ENGRAM_SEEDS=$(SEEDS) swift test -c release --scratch-path .build/simulate --filter SimulationTests

fuzz: deps swift ## hostile bytes for MINUTES (8), all targets together, or for TARGET=name alone
	$(PYTHON) Fuzz/run.py --minutes $(or $(MINUTES),8) $(if $(TARGET),--target $(TARGET))

format: swift ## lay out Sources, Tests, Benchmarks and Fuzz
	swift format --in-place --parallel --recursive $(LAID_OUT)

lint: swift ## the layout, checked
	swift format lint --strict --parallel --recursive $(LAID_OUT)

clean: ## remove what was built (not the data)
	rm -rf .build .build-* Benchmarks/.build Fuzz/.build Fuzz/Findings Perf/results

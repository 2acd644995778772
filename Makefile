# Everything a developer needs; `make help` lists it. Go (see go.mod) is the only
# thing to install; the race detector wants a C compiler as well.

GO    ?= go
# How long each fuzz target runs.
FUZZTIME ?= 10s
# How many faults of each kind, and how many power cuts, make faults makes.
FAULTS ?= 20
CUTS   ?= 200
# Further flags for `make run` and `make bench-peers`, such as ARGS="--listen nats=127.0.0.1:14222".
ARGS  ?=
# What make oracle does with ActiveMQ's answers: record, or compare.
ORACLE ?= record

# What check builds, with what vet has compiled already, and make test runs.
CHECKED := $(CURDIR)/bin/checked/sluice
# The tests that take longest begin first, so that none of them is left alone at the end.
LONGEST := ./tests/pubsub ./gateway/core ./jetstream ./cmd/sluice/app

CC_FOUND := $(shell command -v gcc || command -v clang || command -v cc)
RACE     := $(if $(CC_FOUND),-race,)

.DEFAULT_GOAL := help
.PHONY: help run run-cluster build test check fuzz faults bench bench-peers bench-cluster clients oracle race-possible

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

build: ## Build bin/sluice
	$(GO) build -trimpath -buildvcs=auto -o bin/sluice ./cmd/sluice

run: build ## Run one node on loopback: STOMP 61613, NATS 4222, HTTP Pub/Sub 8085, admin 8161, data in ./data
	@exec ./bin/sluice serve --dev $(ARGS)

run-cluster: build ## Run three nodes on loopback: STOMP 61613-61615, NATS 4222-4224, admin 8161-8163, data in ./data/cluster
	@exec ./deploy/examples/cluster/run ./bin/sluice

check: ## Formatting, vet, the rules of the house, and that everything builds
	@unformatted=$$($(GO) list -f '{{.Dir}}' ./... | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) test ./tests
	$(GO) build -buildvcs=auto -o $(CHECKED) ./cmd/sluice
	$(CHECKED) check-config deploy/sluice.yaml

test: check clients race-possible ## Everything: check, and all tests with the race detector and real clients; fuzz targets with what they have found
	TEST_SLUICE_BINARY=$(CHECKED) $(GO) test $(RACE) -vet=off -timeout 12m $(LONGEST) ./...

fuzz: ## Each fuzz target for FUZZTIME (10s)
	@GO="$(GO)" FUZZTIME="$(FUZZTIME)" .ci/fuzz

faults: ## FAULTS (20) faults of each kind on one node and on three, and CUTS (200) power cuts; hours
	@log=$$(mktemp -t sluice-faults.XXXXXX); \
	SLUICE_FAULT_ROUNDS=$(FAULTS) SLUICE_POWERCUT_CUTS=$(CUTS) $(GO) test $(RACE) -count=1 -v -p 1 -timeout 12h \
	  ./tests/faults ./tests/powercut ./tests/cluster >"$$log" 2>&1; status=$$?; \
	grep -E '^(ok|FAIL|--- )|--- FAIL|FIGURE|_SEED=|_test.go:[0-9]+: [0-9]|ledger.go' "$$log"; \
	echo "everything is in $$log"; exit $$status

bench: ## All Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-peers: build ## Measure beside Debian's ActiveMQ and RabbitMQ, and write docs/benchmarks.md (half an hour)
	$(GO) run ./tests/bench/peers -sluice bin/sluice -out docs/benchmarks.md $(ARGS)

bench-cluster: build ## Measure three nodes on this machine, beside native JetStream with three replicas
	$(GO) run ./tests/bench/nodes -sluice bin/sluice $(ARGS)

clients: ## Install what tests/interop and tests/browser run, if this can be done
	@tests/clients.sh || { \
	  echo "WARNING: tests with the missing clients are skipped"; \
	  [ "$$CI" != true ]; \
	}

oracle: ## Ask the real ActiveMQ the probes of tests/conformance and record its answers; ORACLE=compare only compares
	@tests/oracle.sh
	SLUICE_ORACLE=$(ORACLE) $(GO) test -count=1 -timeout 15m -run '^TestOracle$$' -v ./tests/conformance

race-possible:
	@if [ -z "$(CC_FOUND)" ]; then \
	  echo "WARNING: no C compiler, so no race detector: install gcc"; \
	  [ "$$CI" != true ]; \
	fi

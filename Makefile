# Everything there is to do here. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
GO ?= go
SECONDS_EACH ?= 20
BOTS ?= 200
ROOMS ?= 10
DURATION ?= 30s
SEEDS ?= 2000
SECONDS ?= 60
SEED ?=
KILLS ?= 30
HUNTS ?= 300
SIMULATIONS = TestRoomsSurvive|TestRoomsFind|TestNothingIsLost|TestHuntFinds
MAY_SKIP = TestTenThousandRooms,TestSimulation,TestSteady,TestSend,TestBroken,TestHunt

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## bin/tickover, the server, and bin/tickctl, the operator's tool
	@mkdir -p bin
	$(GO) build -o bin/ ./cmd/tickover ./cmd/tickctl

.PHONY: run
run: build ## a server with the example games; rooms and sessions are kept in ./data over Ctrl-C
	@exec bin/tickover --data data

.PHONY: test
test: deps ## all tests: Go with -race, TypeScript, the browser; installs what is missing where it may
	@$(GO) run ./scripts/gotest -may-skip $(MAY_SKIP) -- -race -timeout 9m ./...
	@scripts/typescript.sh test

SIMULATED = ./rooms ./cluster ./cluster/bus ./placement
.PHONY: sim
sim: ## the simulations over SEEDS seeds (2000), and 100 with the race detector; SEED=n runs one, with its trace
ifneq ($(SEED),)
	@$(GO) run ./scripts/gotest -- -timeout 20m -run '$(SIMULATIONS)' -v $(SIMULATED) -sim.seed $(SEED)
else
	@$(GO) run ./scripts/gotest -may-skip $(MAY_SKIP) -- -timeout 20m -run '$(SIMULATIONS)|Broken|SeedRepeats' ./rooms ./cluster ./cluster/bus -sim.seeds $(SEEDS)
	@$(GO) run ./scripts/gotest -- -timeout 20m -race -run '$(SIMULATIONS)' ./rooms ./cluster ./cluster/bus -sim.seeds 100
	@$(GO) run ./scripts/gotest -- -timeout 20m -run '$(SIMULATIONS)' ./placement -sim.seeds $(HUNTS)
endif

.PHONY: sim-mutants
sim-mutants: ## builds with a broken rule each, over SEEDS seeds (2000) until twenty notice it: how rarely it is noticed, and by which seed first
	@$(GO) test -timeout 60m -v -run Broken ./rooms ./cluster ./cluster/bus -sim.mutants $(SEEDS) | grep -E 'mutant:|not noticed|^(ok|FAIL)' | sed 's/.*mutant:/mutant:/'; exit $${PIPESTATUS[0]}

.PHONY: lint
lint: deps ## formatting, vet, staticcheck, modernizers, types of the TypeScript, the committed bundle
	@test -z "$$($(GO) tool gofumpt -l .)" || { echo 'not formatted (make fmt):'; $(GO) tool gofumpt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) fix -diff ./...
	@scripts/typescript.sh lint

.PHONY: fmt
fmt: ## format the Go code
	$(GO) tool gofumpt -w .

.PHONY: check
check: lint test sim chaos ## what CI runs

.PHONY: fuzz
fuzz: ## each fuzz target for SECONDS_EACH seconds (20)
	@scripts/fuzz.sh $(SECONDS_EACH)

.PHONY: bench
bench: ## the speed and memory of parts; figures and their meaning are in docs/BENCHMARKS.md
	@scripts/bench.sh

.PHONY: bench-floor
bench-floor: ## what a message costs, beside the smallest possible server; under six minutes
	$(GO) run ./loadtest/floor/bench

.PHONY: soak
soak: build ## a server and BOTS bots in ROOMS rooms for DURATION: nothing may be lost, doubled or forked
	@scripts/soak.sh $(BOTS) $(ROOMS) $(DURATION)

.PHONY: chaos
chaos: deps ## three nodes, Redis and HAProxy broken for SECONDS (60) by the schedule of SEED (any), under players who count
	@scripts/chaos.sh $(SECONDS) "$(SEED)"

.PHONY: bench-failover
bench-failover: deps ## how long players see nothing when one of KILLS (30) owners dies, is frozen or drained, and what that costs
	@scripts/failover.sh $(KILLS)

.PHONY: page
page: deps ## build the demo page's bundle, which is committed
	@scripts/typescript.sh page

.PHONY: deps
deps: ## what tests need beside Go: installed where that is possible, named where not
	@scripts/deps.sh

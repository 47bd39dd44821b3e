# `go test ./...` needs nothing but Go. The targets here add the race detector,
# which needs a C compiler, the linters, and `make integration`, which builds the
# servers that it tests against.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.14.0
FUZZTIME ?= 20s
# What bench-go and bench-compare measure, and against what and how often.
BENCHED := ./event ./bus ./router/... ./sources/http ./sinks ./sinks/http
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
BENCH ?= .
COUNT ?= 6
# `make bench SIZES=-full` has the sizes for which the measures are stated.
SIZES ?=
# The examples that need more than Go.
EXAMPLES := ./examples/functions ./examples/postgres-changes ./examples/rabbitmq

.PHONY: help build test lint fuzz integration bench bench-peers bench-adapters bench-go bench-compare verify nightly

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the binary into bin/sluice
	CGO_ENABLED=0 go build -trimpath -o bin/sluice ./cmd/sluice

test: ## Run the tests with the race detector (needs a C compiler)
	go test -race ./...

lint: ## Run the linters and check the formatting
	go run $(GOLANGCI) run ./...
	cd integration/compose && go run $(GOLANGCI) run ./...
	cd integration/powercut && go run $(GOLANGCI) run ./...
	go run $(GOLANGCI) fmt --diff integration/peers/*/main.go

fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$f); do \
			echo "== $$(dirname $$f) $$name"; \
			go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f); \
		done; \
	done

integration: ## Kill, stop and load the real program, and test against real servers (installs and builds them)
	@set -e; results=$$(mktemp -d); trap 'rm -rf "$$results"' EXIT; export SLUICE_CONFORMANCE="$$results"; set -x; \
	go test -count=1 -run '^(TestExercise|TestSuite)' ./sources/... ./sinks/...; \
	go test -tags integration -count=1 -timeout 20m ./integration/... $(EXAMPLES); \
	go run ./integration/conformance/table docs/conformance.md
	cd integration/compose && go test -tags integration -count=1 -timeout 10m ./...
	cd integration/powercut && go test -tags integration -count=1 -timeout 10m ./...

bench: ## Measure sluice beside the floor, and write docs/benchmarks.md
	go run ./integration/bench $(SIZES) -update docs/benchmarks.md
	go run ./integration/bench/functions -update docs/benchmarks.md

bench-peers: ## Measure sluice beside other programs, and write docs/benchmarks.md, its plot and the README
	go run ./integration/bench $(SIZES) -beside floor,bento,dapr,watermill -only dispatch,latency,ingest \
		-update docs/benchmarks.md -figures README.md -plot docs/peers.svg

bench-adapters: ## Measure every source and sink with its real server, and write docs/benchmarks.md
	go run ./integration/bench/adapters -update docs/benchmarks.md

bench-go: ## Measure the hot paths by themselves
	go test -run '^$$' -bench '$(BENCH)' -benchmem $(BENCHED)

bench-compare: ## Measure the hot paths of commit REF and of what is here by turns, COUNT (6) times, and compare
	@set -e; ref='$(REF)'; \
	if [ -z "$$ref" ]; then \
		ref=$$(git merge-base HEAD main 2>/dev/null || git rev-parse HEAD); \
		[ "$$ref" != "$$(git rev-parse HEAD)" ] || ref=HEAD~1; \
	fi; \
	dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/there"; rm -rf "$$dir"' EXIT; \
	git worktree add --quiet --detach "$$dir/there" "$$ref"; \
	for round in $$(seq $(COUNT)); do for package in $$(go list -f '{{.Dir}}' $(BENCHED)); do \
		package=.$${package#"$$PWD"}; \
		for side in "$$dir/there" .; do \
			[ -d "$$side/$$package" ] || continue; \
			echo "round $$round of $(COUNT): $$package of $$([ "$$side" = . ] && echo here || echo "$$ref")" >&2; \
			(cd "$$side" && go test -run '^$$' -bench '$(BENCH)' -benchmem "$$package") >> "$$dir/$$([ "$$side" = . ] && echo here || echo ref)"; \
		done; \
	done; done; \
	go run $(BENCHSTAT) "$$ref=$$dir/ref" "here=$$dir/here"

verify: build test lint integration ## Everything that must pass before a change goes in

nightly: ## A hundred thousand seeds of the simulation, twenty million verdicts of the pattern index, and ten minutes of each fuzz target
	go test -count=1 -timeout 6h ./router/core -run 'TestSimulation$$' -sim.seeds=100000 -v
	go test -count=1 -timeout 6h ./router/pattern -run 'TestIndexAgreesWithThePatterns$$' -pattern.cases=20000000 -v
	$(MAKE) fuzz FUZZTIME=10m

# Everything is built and tested with Go alone; `make integration` also
# installs the servers it needs.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.14.0
FUZZTIME ?= 20s

.PHONY: help build test lint fuzz integration bench verify nightly

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the binary into bin/sluice
	CGO_ENABLED=0 go build -trimpath -o bin/sluice ./cmd/sluice

test: ## Run the tests that need nothing but Go, with the race detector
	go test -race ./...

lint: ## Run the linters and check the formatting
	go run $(GOLANGCI) run ./...

fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$f); do \
			echo "== $$(dirname $$f) $$name"; \
			go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f); \
		done; \
	done

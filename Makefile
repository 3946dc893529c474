# Keyless Gateway. `make` lists the targets. Everything but bench's peers and .ci/run needs Go alone.
.DEFAULT_GOAL := help
.PHONY: help run demo build check test vectors fuzz bench lint vuln clean

export CGO_ENABLED ?= 0
FUNCTIONS := token jwks authorizer proxy admin
RELEASE   := -tags lambda.norpc -trimpath -buildvcs=false -ldflags "-s -w -buildid="
FUZZTIME  ?= 10s
RACE      := $(if $(shell command -v gcc),-race)
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULN    := golang.org/x/vuln/cmd/govulncheck@v1.8.0

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

run: ## everything on this machine with a demo model; prints commands to paste
	@go build -o dist/keyless ./functions/keyless && exec dist/keyless serve --demo

demo: ## run the keyless flow by itself, step by step; fails unless every step answers as it must
	@go build -o dist/keyless ./functions/keyless && exec dist/keyless demo

build: ## all functions for AWS Lambda (arm64) and Function Compute (amd64), and keyless for this machine, in dist/
	@for f in $(FUNCTIONS); do \
	  GOOS=linux GOARCH=arm64 go build $(RELEASE) -o dist/lambda/$$f/bootstrap ./functions/$$f && \
	  GOOS=linux GOARCH=amd64 go build $(RELEASE) -o dist/fc/$$f/bootstrap ./functions/$$f || exit 1; \
	done
	go build $(RELEASE) -o dist/keyless ./functions/keyless

check: ## what needs Go alone: format, vet, unit tests, structure
	@test -z "$$(gofmt -l functions shared tests)" || { gofmt -l functions shared tests; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go test ./functions/... ./shared/... -count=1
	go test ./tests -run 'Structure|Template' -count=1

test: ## everything, under the race detector; a component that is missing is named and its tests say NOT RUN
	@test -n "$(RACE)" || { echo "NOT RUN: the race detector, for want of a C compiler"; test -z "$$KEYLESS_TEST_ALL"; }
	CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) ./... -count=1 -timeout 12m
	cd tests/clients && go test ./... -count=1 -timeout 5m

vectors: ## the published test vectors of the RFCs
	go test ./... -run 'Vector|RFC' -count=1

fuzz: ## every fuzz target for FUZZTIME (10s)
	@for p in $$(go list ./...); do \
	  for t in $$(go test $$p -list '^Fuzz' | grep '^Fuzz'); do \
	    echo "$$p $$t"; go test $$p -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

bench: ## benchmarks, each with its floor in the same run
	go test ./shared/... -run '^$$' -bench . -benchmem -count=1

lint: ## golangci-lint, built from its module
	go run $(LINT) run ./...

vuln: ## known vulnerabilities in what we link; VULNDB names the database (a folder or URL)
	@test -n "$(VULNDB)" || { echo "set VULNDB to the vulnerability database, as file:///… or https://…"; exit 1; }
	go run $(GOVULN) -db "$(VULNDB)" ./...

clean: ## remove what was built
	rm -rf dist

# SAM calls these with ARTIFACTS_DIR, in a copy of this folder.
build-%Function:
	GOOS=linux GOARCH=arm64 go build $(RELEASE) -o "$(ARTIFACTS_DIR)/bootstrap" \
	  ./functions/$$(echo $* | tr '[:upper:]' '[:lower:]')

# Two commands do all there is to do for most: "make test" before a commit lands,
# "make check" while working. Both install what they lack, see scripts/.

GO        ?= go
BIN       := $(CURDIR)/bin
LINT      := $(BIN)/golangci-lint
LINT_VERSION := v2.15.0
FUZZTIME  ?= 10000x
# modernc.org/sqlite/lib is C turned into Go, with memory of its own: watching it
# takes most of the time and can find nothing. Only that package: another one
# would bring its copies of generic code of the standard library, unwatched, and
# the linker may take those for all.
RACE      := $(shell command -v gcc >/dev/null && echo "-race -gcflags=modernc.org/sqlite/lib=-race=false")
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null)

.PHONY: build test check fmt lint unit e2e fuzz bench docs clean

build: ## the binary, in bin/
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN)/latchkey ./cmd/latchkey

test: deps fmt lint unit fuzz-seeds e2e ## everything, with the real programs

check: fmt lint short ## what takes minutes: the tests with the race detector, the long ones cut short

.PHONY: deps
deps:
	scripts/test-deps.sh

fmt:
	@files=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

lint: $(LINT) ## go vet is among it
	$(LINT) run --build-tags e2e

$(LINT):
	GOBIN=$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

unit: ## all tests of the packages, in full
	$(GO) test $(RACE) -timeout 20m ./...

.PHONY: short
short:
	$(GO) test $(RACE) -short -timeout 10m ./...

.PHONY: fuzz-seeds
fuzz-seeds: ## each fuzz target for a moment
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

fuzz: ## each fuzz target for longer: make fuzz FUZZTIME=5000000x
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

e2e: ## the slow tests, against real Pulp, PostgreSQL and clients
	$(GO) test -tags e2e -timeout 60m -v ./e2e/... ./internal/pulptest/...

bench: ## the server beside yardsticks, see docs/performance.md; needs a quiet machine
	$(GO) run ./bench

.PHONY: microbench
microbench: ## parts of it in process
	$(GO) test -run '^$$' -bench . -benchmem ./internal/tokens ./internal/scope ./internal/gateway ./internal/server ./guard

docs: ## what is made from the code
	$(GO) test ./internal/config ./internal/restapi ./internal/metrics ./internal/audit ./internal/securitydoc -run Reference -update

.PHONY: deb image
deb: ## the Debian package, in dist/
	VERSION="$(VERSION)" packaging/build-deb.sh

image: ## the container image latchkey:latest, with podman, buildah or docker
	VERSION="$(VERSION)" packaging/build-image.sh

clean:
	rm -rf $(BIN) dist

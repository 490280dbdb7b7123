# Berth. Run `make help` for the targets.
GO        ?= go
TOOL       = $(GO) tool -modfile=scripts/tools/go.mod
PROTOS     = tailnet/proto/tailnet.proto agent/proto/agent.proto
PLATFORMS  = linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64
LDFLAGS    = -s -w
# ts_omit_debugeventbus keeps a debug page, and html/template with it, out of
# the slim build, ts_omit_tailnetlock signatures of node keys that only
# Tailscale's own server makes, and the rest what our nodes never touch: a
# machine's DNS, warnings of Tailscale's own program, its policies, logs and
# clouds; rules_test.go checks what is left.
SLIM_TAGS  = slim,ts_omit_debugeventbus,ts_omit_tailnetlock,ts_omit_dbus,ts_omit_networkmanager,ts_omit_resolved,ts_omit_health,ts_omit_syspolicy,ts_omit_netlog,ts_omit_cloud
PORT      ?= 7080
RELAY_PORT ?= 3478
export CGO_ENABLED ?= 0

.PHONY: help build slim check test soak bench demo gen deps
help: ## show this text
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

build: ## build/coder: server, agent and command line in one binary
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o build/coder ./cmd/coder

slim: $(PLATFORMS:%=slim-%) ## build/slim/coder-<os>-<arch>: agent and command line only
slim-%:
	GOOS=$(word 1,$(subst -, ,$*)) GOARCH=$(word 2,$(subst -, ,$*)) $(GO) build -trimpath -tags $(SLIM_TAGS) -ldflags '$(LDFLAGS)' \
		-o build/slim/coder-$*$(if $(findstring windows,$*),.exe) ./cmd/coder

demo: build ## a server, a workspace and its agent on this machine; CMD='uname -a' runs one command in it
	@PORT='$(PORT)' RELAY_PORT='$(RELAY_PORT)' CMD='$(subst ','\'',$(CMD))' scripts/demo.sh

deps: ## install what the tests need (Debian, as root; elsewhere it says what is missing)
	@scripts/test-deps.sh

check: ## quick: format, vet, lint, generated files, rules
	@out=$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); test -z "$$out" || { echo "not formatted (go tool gofumpt -w):"; echo "$$out"; exit 1; }
	$(GO) vet ./... && $(GO) vet -tags $(SLIM_TAGS) ./cmd/coder && $(GO) vet -tags soak ./e2e
	for os in darwin windows; do export GOOS=$$os; \
		$(GO) vet -tags $(SLIM_TAGS) $$($(GO) list -deps -tags $(SLIM_TAGS) ./cmd/coder | grep '^github.com/berthdev/berth/') || exit 1; done
	$(TOOL) staticcheck ./...
	cd scripts/tools && $(GO) run ./gen -check ../.. $(PROTOS)
	$(GO) test -count=1 .
	@scripts/vulncheck.sh

test: deps check ## everything that CI runs
	CGO_ENABLED=1 $(GO) test -race -p 1 -timeout 15m ./... # one package at a time: some measure stalls

soak: deps ## half an hour of faults; the agent must not grow. SOAK=5m is shorter
	$(GO) test -tags soak -count=1 -timeout 60m -v -run TestSoak ./e2e -args -soak=$(or $(SOAK),30m)

bench: build slim-linux-amd64 ## the budgets of docs/benchmarks.md; BENCH_JSON=file writes them as JSON
	$(GO) run ./scripts/bench $(if $(BENCH_JSON),-json '$(BENCH_JSON)')

gen: ## regenerate */proto, docs/cli.md and the help texts of tests
	cd scripts/tools && $(GO) run ./gen ../.. $(PROTOS)
	$(GO) test -count=1 ./cmd/coder -run 'TestCLIDocs|TestHelp$$' -update-docs

# Everything that a change must pass: make lint test. Tools live in ./bin, pinned by number; go.mod knows none of them.

GOLANGCI  := bin/golangci-lint-v2.15.0
GOFUMPT   := bin/gofumpt-v0.12.0
GOTESTSUM := bin/gotestsum-v1.13.0
JUDGES    := internal/e2e/judges

.PHONY: help deps test soak bench lint fmt

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: $(JUDGES)/node_modules/.package-lock.json ## install what the tests need (root on Debian), else say what is missing

test: deps $(GOTESTSUM) ## run every test once, the money packages with the race detector; a skipped test fails
	@scripts/test $(GOTESTSUM) 10m

soak: deps $(GOTESTSUM) ## run every test in its long form, for hours
	@PIAOHAO_SOAK=1 scripts/test $(GOTESTSUM) 6h

bench: ## measure docs/figures.md on this machine, beside what the parts cost bare
	go run ./cmd/piaohao bench --out docs

lint: $(GOLANGCI) $(GOFUMPT) ## vet, format check, linters
	go vet ./...
	@unformatted=$$($(GOFUMPT) -l .); test -z "$$unformatted" || { echo "not in gofumpt's form, run make fmt: $$unformatted"; exit 1; }
	$(GOLANGCI) run

fmt: $(GOFUMPT) ## format the code
	$(GOFUMPT) -w .

# The judges come by hash from whatever registry npm is set to; the lock file names none.
$(JUDGES)/node_modules/.package-lock.json: $(JUDGES)/package-lock.json | system
	cd $(JUDGES) && npm ci
	touch $@

.PHONY: system
system:
	@scripts/deps

$(GOLANGCI): MODULE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(GOFUMPT): MODULE := mvdan.cc/gofumpt
$(GOTESTSUM): MODULE := gotest.tools/gotestsum

bin/%:
	GOBIN=$(CURDIR)/bin go install $(MODULE)@v$(lastword $(subst -v, ,$@))
	mv bin/$(notdir $(MODULE)) $@

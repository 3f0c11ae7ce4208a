# What there is to make. `make demo` and `make test` need Go alone.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO_BUILD    = CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$(VERSION)"
FUZZ_TIME  ?= 20s

.PHONY: build demo test race check check-deploy fuzz bench image tools clean

build: ## the program, static: ./mqedge
	$(GO_BUILD) -o mqedge ./cmd/mqedge

demo: build ## the product at work on loopback, until Ctrl-C
	./mqedge demo

test: ## every test, end to end too
	go test -count=1 -p 3 -parallel 6 ./e2e ./proxy/relay ./... # most of them wait most of the time; the longest first

race: ## the same under the race detector
	go test -count=1 -race ./...

check: ## format, vet, staticcheck, and that go.mod is tidy
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	GOARCH=arm64 go vet ./... && GOOS=darwin go build -o /dev/null ./cmd/mqedge

check-deploy: ## what deploy has, against the types of Kubernetes, Compose and Prometheus
	cd deploy/validate && go vet ./... && go test -count=1 ./...
	@if command -v promtool >/dev/null; then \
	  cd deploy/prometheus && promtool check config prometheus.yaml && promtool test rules mqedge.rules_test.yaml; \
	else echo "NOT TESTED: the alerts, as promtool is not installed: see make tools"; fi

fuzz: ## each fuzz target for FUZZ_TIME
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read f; do \
	  sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$f | while read t; do \
	    echo "$$t in $$(dirname $$f)"; \
	    go test -run '^$$' -fuzz "^$$t$$" -fuzztime $(FUZZ_TIME) -fuzzminimizetime 1x $$(dirname $$f) || exit 1; \
	  done || exit 1; done

bench: build ## side by side with nginx and HAProxy; see bench/README.md
	go run ./bench --mqedge ./mqedge $(BENCH)

image: ## the container image mqedge:latest
	docker build --build-arg VERSION=$(VERSION) -t mqedge .

tools: ## what bench and the tests with real clients use, on Debian
	apt-get install -y -q nginx libnginx-mod-stream haproxy mosquitto-clients openssl iproute2 chromium
	apt-get install -y -q --no-install-recommends prometheus docker-compose # promtool; the compose files

clean:
	rm -f mqedge

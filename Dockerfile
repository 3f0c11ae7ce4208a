# The image holds one static binary, the CA certificates and an empty folder for state files, nothing else.
FROM golang:1.26 AS build
WORKDIR /var/lib/mqedge
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=${VERSION}" -o /mqedge ./cmd/mqedge

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /mqedge /mqedge
# For state files: a new volume there belongs to the user below.
COPY --from=build --chown=65532:65532 /var/lib/mqedge /var/lib/mqedge
# No user exists in here but this number; ports below 1024 need
# --sysctl net.ipv4.ip_unprivileged_port_start=0, which Docker sets by default.
USER 65532:65532
EXPOSE 8883 8884 9901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/mqedge", "health"]
ENTRYPOINT ["/mqedge"]
CMD ["run", "-c", "/etc/mqedge/mqedge.yaml"]

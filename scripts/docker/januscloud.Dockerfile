# The januscloud program: every role, by its argument.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /januscloud ./cmd/januscloud

FROM debian:12-slim
COPY --from=build /januscloud /usr/local/bin/januscloud
COPY scripts/docker/ready /usr/local/bin/ready
# Nothing is written and no low port is used.
USER nobody
ENV JANUSCLOUD_HEALTH=:9100
EXPOSE 8088 8188 9100
# Alive, not ready: a role without NATS must not be restarted.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["ready", "/healthz"]
ENTRYPOINT ["januscloud"]

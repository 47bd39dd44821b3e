# syntax=docker/dockerfile:1

# The image of sluice (the last target, and so the default), and for the development
# stack of docker-compose.yml a MinIO, the parts of the examples, and a sluice with
# what their functions need.
# A test runs the go commands below, and the programs as the stack does.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/ ./cmd/sluice ./examples/stack ./examples/rabbitmq ./examples/sensors ./examples/sensors/alarm
RUN mkdir /out/data

# The version that the tests run against. MinIO publishes its source, and no
# images any more.
FROM golang:1.26.8-bookworm AS minio-build
RUN CGO_ENABLED=0 GOBIN=/out go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
RUN mkdir /out/data /out/queue

FROM scratch AS minio
COPY --from=minio-build /out/minio /minio
COPY --from=build /out/stack /stack
COPY --from=minio-build --chown=65532:65532 /out/data /data
COPY --from=minio-build --chown=65532:65532 /out/queue /queue
USER 65532:65532
VOLUME ["/data", "/queue"]
ENTRYPOINT ["/minio"]

FROM scratch AS stack
COPY --from=build /out/stack /out/rabbitmq /out/sensors /
USER 65532:65532
ENTRYPOINT ["/stack"]

# Functions of Python, and one of Go that is built here.
FROM python:3.13.7-slim-bookworm AS functions
COPY --from=build /out/sluice /out/alarm /
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME ["/data"]
ENTRYPOINT ["/sluice"]

# A static binary alone: no shell, no other program, not root. The file is
# expected at /etc/sluice/sluice.yaml; with bus.dir /data is the place for events.
FROM scratch AS sluice
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sluice /sluice
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME ["/data"]
EXPOSE 4800 4801
ENTRYPOINT ["/sluice"]
CMD ["up", "-c", "/etc/sluice/sluice.yaml"]

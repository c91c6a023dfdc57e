# The HTTP API, without TensorFlow, and without a shell. Build from the repository's root:
#   docker build -f deploy/api.Dockerfile -t easel-api .
# --build-arg LOCK=flower.txt makes an image of Flower instead, for the profile `flower` of compose.yaml.
# --build-arg OTEL=1 adds OpenTelemetry (docs/how-to/tracing.md).
ARG BUILDER=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
ARG RUNTIME=gcr.io/distroless/python3-debian13:nonroot@sha256:83aa8d4f74a4d7f7cf2d472054139bef71a927b76c680c0f2e1021d6b1d6d732

FROM ${BUILDER} AS packages
ARG LOCK=api.txt
ARG OTEL=
COPY deploy/locks/ /locks/
RUN pip install --no-cache-dir --no-compile --require-hashes --target /packages \
        -r "/locks/${LOCK}" ${OTEL:+-r /locks/otel.txt}
# Left out: tests, the clients of AWS services other than S3 and its credentials, commands.
RUN find /packages -type d -name tests -prune -exec rm -rf {} + \
    && find /packages -path '*/botocore/data/*' -prune -type d \
        ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -rf {} + \
    && rm -rf /packages/bin

FROM ${RUNTIME}
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/easel:/packages HOME=/tmp
WORKDIR /easel
COPY --from=packages /packages /packages
COPY easel/ easel/
COPY shared/ shared/
COPY api/ api/
USER 10001:10001

# On any address but loopback the API refuses to start without EASEL_API_KEYS.
ENV EASEL_HOST=0.0.0.0 EASEL_PORT=8080 EASEL_LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz')"]
ENTRYPOINT []
CMD ["python3", "-m", "api"]

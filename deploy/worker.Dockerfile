# A worker or a reaper. Build from the repository's root:
#   docker build -f deploy/worker.Dockerfile -t easel-worker .
# For NVIDIA GPUs add --build-arg LOCK=worker-gpu.txt and run with Docker's --gpus all. For one worker on each GPU, run
# the command: easel-worker start --gpus all
# --build-arg OTEL=1 adds OpenTelemetry (docs/how-to/tracing.md).
ARG BASE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS packages
ARG LOCK=worker.txt
ARG OTEL=
COPY deploy/locks/ /locks/
RUN python3 -m venv --without-pip /packages \
    && pip --python /packages/bin/python install --no-cache-dir --require-hashes \
        -r "/locks/${LOCK}" ${OTEL:+-r /locks/otel.txt}

FROM ${BASE}
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/easel PATH=/packages/bin:$PATH HOME=/tmp
RUN groupadd --gid 10001 easel && useradd --uid 10001 --gid easel --no-create-home easel \
    && install -d -o easel -g easel /var/cache/easel
WORKDIR /easel
COPY --from=packages /packages /packages
COPY deploy/easel-worker /packages/bin/
COPY easel/ easel/
COPY shared/ shared/
COPY worker/ worker/
USER 10001:10001

ENV EASEL_CACHE=/var/cache/easel EASEL_LOG_FORMAT=json TF_CPP_MIN_LOG_LEVEL=2
VOLUME /var/cache/easel
# On SIGTERM a worker checkpoints its job and returns it to the queue. Allow time for an evaluation and a write.
STOPSIGNAL SIGTERM
CMD ["easel-worker", "start"]

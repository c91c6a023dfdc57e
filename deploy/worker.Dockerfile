# A worker or a reaper. Build from the repository's root:
#   docker build -f deploy/worker.Dockerfile -t easel-worker .
# For NVIDIA GPUs add --build-arg LOCK=worker-gpu.txt and run with Docker's --gpus all. For one worker on each GPU, run
# the command: easel-worker start --gpus all
FROM python:3.12-slim

ARG LOCK=worker.txt
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /easel
COPY deploy/locks/${LOCK} ./lock.txt
RUN pip install --no-cache-dir --require-hashes -r lock.txt
COPY deploy/easel-worker /usr/local/bin/
COPY easel/ easel/
COPY shared/ shared/
COPY worker/ worker/
RUN useradd --system --uid 10001 easel && install -d -o easel /var/cache/easel
USER 10001

ENV PYTHONPATH=/easel EASEL_CACHE=/var/cache/easel EASEL_LOG_FORMAT=json TF_CPP_MIN_LOG_LEVEL=2
VOLUME /var/cache/easel
# On SIGTERM a worker checkpoints its job and returns it to the queue. Allow time for an evaluation and a write.
STOPSIGNAL SIGTERM
CMD ["easel-worker", "start"]

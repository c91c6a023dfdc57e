# The HTTP API, without TensorFlow. Build from the repository's root:
#   docker build -f deploy/api.Dockerfile -t easel-api .
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /easel
COPY deploy/locks/api.txt ./
RUN pip install --no-cache-dir --require-hashes -r api.txt
COPY easel/ easel/
COPY shared/ shared/
COPY api/ api/
RUN useradd --system --uid 10001 easel
USER 10001

# On any address but loopback the API refuses to start without EASEL_API_KEYS.
ENV EASEL_HOST=0.0.0.0 EASEL_PORT=8080 EASEL_LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz')"]
CMD ["python", "-m", "api"]

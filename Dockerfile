# syntax=docker/dockerfile:1

# The model is exported here; torch, which that takes, stays behind in this stage.
FROM python:3.12-slim AS model
# A package index with CPU builds of torch saves gigabytes here: --build-arg PIP_EXTRA_INDEX_URL=…
ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY cacheguard cacheguard
COPY embeddings embeddings
COPY index index
RUN pip install --no-cache-dir -c constraints.txt '.[bundled]'
RUN CACHEGUARD_HOME=/model python -m embeddings

FROM python:3.12-slim
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY cacheguard cacheguard
COPY embeddings embeddings
COPY index index
RUN pip install --no-cache-dir -c constraints.txt . && rm -rf /src
COPY --from=model /model /model
RUN useradd --create-home --uid 10001 cacheguard && install -d -o cacheguard /data
USER cacheguard
WORKDIR /data
ENV CACHEGUARD_HOME=/model
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# It listens beyond the container, so the settings must hold keys (docker-compose.yml shows them).
CMD ["cacheguard", "serve", "--host", "0.0.0.0"]

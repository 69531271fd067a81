# syntax=docker/dockerfile:1

# Built once: every package checked against its hash, nothing fetched that is not in the lock file.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/leadflow
WORKDIR /src
COPY requirements.lock ./
RUN /opt/leadflow/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY config ./config
COPY leadflow ./leadflow
RUN /opt/leadflow/bin/pip install --no-deps --no-build-isolation . \
    && /opt/leadflow/bin/python -m compileall -q /opt/leadflow/lib

# What runs: no compiler, no sources, no root.
FROM python:3.13-slim
RUN groupadd --gid 10001 leadflow \
    && useradd --uid 10001 --gid 10001 --no-log-init --create-home --home-dir /var/lib/leadflow leadflow
COPY --from=build /opt/leadflow /opt/leadflow
ENV PATH=/opt/leadflow/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /var/lib/leadflow
USER 10001:10001
EXPOSE 8000

# Meant for `leadflow web`; docker-compose.yml turns it off for the other roles.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

ENTRYPOINT ["leadflow"]
CMD ["web", "--host", "0.0.0.0", "--port", "8000"]

# One image for the API and the queue worker; a lake is mounted at /lake, writable for user 10001.
#   docker build --tag formcast .
#   docker run --read-only --tmpfs /tmp --volume /data/lake:/lake --publish 8000:8000 formcast
#   docker run --read-only --tmpfs /tmp --volume /data/lake:/lake --no-healthcheck --env FORMCAST_REQUEST_QUEUE=... formcast worker
# SageMaker runs it as `docker run formcast serve` (docs/deployments.md).

FROM python:3.11.14-slim-bookworm AS build
RUN python -m venv /opt/formcast
ENV PATH=/opt/formcast/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/serve.txt requirements/serve.txt
RUN pip install --require-hashes --only-binary :all: --requirement requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY speed speed
# The command line belongs to the batch layer, which is not here; what installs has no place in the image either.
RUN pip install --no-index --no-deps --no-build-isolation . \
    && rm /opt/formcast/bin/formcast \
    && pip uninstall --yes setuptools pip

FROM python:3.11.14-slim-bookworm
COPY --from=build /opt/formcast /opt/formcast
ENV PATH=/opt/formcast/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    FORMCAST_LAKE=/lake \
    FORMCAST_HOST=0.0.0.0 \
    FORMCAST_PORT=8000
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"FORMCAST_PORT\"]}/healthz', timeout=2)"]
ENTRYPOINT ["python", "-m", "speed"]
CMD ["api"]

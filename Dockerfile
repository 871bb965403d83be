# One image for every role: all | api | worker | migrate | sandbox is the command, everything else a setting.
# Pin the base in production: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# A private index or CA comes in as a build secret, so neither is left in a layer:
# --secret id=pip_conf,src=pip.conf
COPY requirements.lock /build/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    python3 -m venv --without-pip /opt/venv \
    && python3 -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --no-deps --only-binary :all: --no-compile -r /build/requirements.lock
COPY migrations /app/migrations
COPY service /app/service
# The root filesystem is read-only when it runs, so bytecode is written now; unchecked, since no source can change under it.
# The modes make the image independent of the umask it was checked out with.
RUN chmod -R u=rwX,go=rX /app \
    && /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib /app

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="image-gateway" \
      org.opencontainers.image.description="Image generation for internal services: paid at most once, durable, and told when done." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/nonexistent \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_HOST=0.0.0.0 \
    GATEWAY_PORT=8000 \
    GATEWAY_SPOOL_DIR=/var/spool/image-gateway
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# Uploads in flight lie here: mount a disk volume, never memory. Group 0 may write, for clusters that choose the uid.
RUN install -d -o 10001 -g 0 -m 0770 /var/spool/image-gateway
WORKDIR /app
USER 10001:10001
EXPOSE 8000
# http.client, unlike urllib, never asks a proxy from the environment for the way to itself.
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 \
    CMD ["/opt/venv/bin/python", "-I", "-S", "-c", "import http.client, os, sys; probe = http.client.HTTPConnection('127.0.0.1', int(os.environ['GATEWAY_PORT']), timeout=3); probe.request('GET', '/livez'); sys.exit(probe.getresponse().status != 200)"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "service"]
CMD ["all"]

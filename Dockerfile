# syntax=docker/dockerfile:1
# The production image: the official Triton container and our Python layer, for CPUs or for NVIDIA GPUs.
#
#   docker build --target cpu -t trident:cpu .
#   docker build --target gpu -t trident:gpu .
#
# For builds that can be repeated, name the digest beside the tag: --build-arg TRITON_DIGEST=sha256:...
# At run time: a volume at /srv/trident, REDIS_URL, and --shm-size=1g (docs/deploy.md).
ARG TRITON_TAG=26.07-py3
ARG TRITON_DIGEST=""
ARG PYTHON_TAG=3.12-slim-bookworm
ARG PYTHON_DIGEST=""

# --- our wheel --------------------------------------------------------------------------------------------------------
FROM python:${PYTHON_TAG}${PYTHON_DIGEST:+@${PYTHON_DIGEST}} AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY trident trident
COPY export export
COPY client client
COPY loadtest loadtest
COPY model_repository model_repository
COPY backends backends
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

# --- the Python layer, made by the interpreter that the server's Python backend embeds ---------------------------------
FROM nvcr.io/nvidia/tritonserver:${TRITON_TAG}${TRITON_DIGEST:+@${TRITON_DIGEST}} AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

FROM base AS packages-cpu
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    python3 -m venv --without-pip /opt/trident \
    && wheel=(/wheel/*.whl) \
    && python3 -m pip --python /opt/trident/bin/python install --no-cache-dir --only-binary=:all: "${wheel[0]}[container]"

FROM base AS packages-gpu
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    python3 -m venv --without-pip /opt/trident \
    && wheel=(/wheel/*.whl) \
    && python3 -m pip --python /opt/trident/bin/python install --no-cache-dir --only-binary=:all: "${wheel[0]}[gpu]"

# --- what both images have in common ----------------------------------------------------------------------------------
FROM base AS runtime
# The Python processes of models find their packages through the first python3 on PATH. One OpenMP thread each: Triton
# runs models side by side. numba keeps what it compiled where the user may write.
ENV PATH=/opt/trident/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    TRIDENT_REPOSITORY=/srv/trident/repository
# The user 1000 is there already, under the name triton-server.
RUN install -d -o 1000 -g 1000 -m 0750 /srv/trident
VOLUME /srv/trident
WORKDIR /tmp
EXPOSE 8000 8001 8002
STOPSIGNAL SIGTERM
# Not /v2/health/ready: that fails after any failed load, although the old release serves.
HEALTHCHECK --interval=10s --timeout=3s --start-period=300s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/v2/models/recommend/ready', timeout=2)"]
# The entry point stays the container's own, which prepares the driver's libraries and then becomes this command.
CMD ["python3", "-m", "trident.serving.container"]

# --- the images -------------------------------------------------------------------------------------------------------
FROM runtime AS cpu
COPY --from=packages-cpu /opt/trident /opt/trident
# On CPUs our kernel scores a request several times faster than the container's FIL.
RUN rm -r /opt/tritonserver/backends/fil
COPY backends/fil /opt/tritonserver/backends/fil
USER 1000:1000

FROM runtime AS gpu
COPY --from=packages-gpu /opt/trident /opt/trident
ENV TRIDENT_CONFIG=gpu
USER 1000:1000

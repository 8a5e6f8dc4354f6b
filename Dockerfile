# A worker of Dataflow, or of any Beam runner that starts containers: Beam, the locked packages and
# Cauldron. docs/howto/dataflow.md has the commands that build, push and use it.
#
# Packages are built in a first stage, because fastText is published as source only. The last has no
# compiler. It takes what starts a worker from Beam's own image, as Beam documents for images of
# one's own. The tags must be the Beam and the Python of requirements.lock (a test checks it).

FROM apache/beam_python3.11_sdk:2.77.0 AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++
WORKDIR /src
COPY requirements.lock .
RUN pip wheel --no-cache-dir --no-deps -r requirements.lock -w /wheels

FROM build AS cauldron
COPY . .
RUN pip wheel --no-cache-dir --no-deps . -w /cauldron

FROM python:3.11-slim-bookworm
COPY requirements.lock /opt/cauldron/
# Wheels are mounted: copied, they would stay in a layer of the image, even if a later one removed
# them. By name from the lock file, so that `pip freeze` in a worker's log shows versions.
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --no-deps --find-links /wheels \
        -r /opt/cauldron/requirements.lock
COPY --from=build /opt/apache/beam /opt/apache/beam
# Last and copied: a new version of Cauldron changes small layers only. Podman and buildah do not
# look for changes in what is mounted.
COPY --from=cauldron /cauldron /opt/cauldron/
RUN pip install --no-cache-dir --no-index --no-deps /opt/cauldron/*.whl \
    && python -m pip check \
    && python -c "import cauldron.pipeline.build"
# Else each worker first makes a virtual environment, for packages that a job brings. Jobs with this
# image bring none, and it takes longer than to import Beam and Cauldron.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]

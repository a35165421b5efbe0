# One target for each image: operator, agent, server, drift (the agent with what compares data), digits (the demo's training). Each has its own locked
# requirements in a layer below the code, so that a change of the code alone builds in seconds.
ARG BASE=python:3.13-slim
ARG BUILD_BASE=gcc:14

# The virtual environments are made without pip: it installs from outside and is not in the images.
FROM ${BASE} AS pip
RUN python3 -m venv /opt/pip
RUN python3 -m venv --without-pip /opt/venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    INSTALL="/opt/pip/bin/pip --python /opt/venv install -q --require-hashes --only-binary :all: -r /tmp/requirements.txt" \
    SHRINK="find /opt/venv ( -type d -name tests -o -name *.py[ix] -o -name *.px[di] ) -prune -exec rm -r {} +"

FROM pip AS operator-requirements
COPY requirements/operator.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip $INSTALL && $SHRINK

FROM pip AS agent-requirements
COPY requirements/agent.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip $INSTALL && $SHRINK
# botocore describes every service of AWS; the agent speaks with S3, and with those that give it credentials.
RUN cd /opt/venv/lib/python3*/site-packages/botocore/data && \
    find . -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name "sso*" ! -name signin -exec rm -r {} +

FROM pip AS server-requirements
COPY requirements/server.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip $INSTALL && $SHRINK
# For programs in C: what Python calls has all of it again.
RUN rm -f /opt/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*

FROM pip AS drift-requirements
COPY requirements/drift.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip $INSTALL && $SHRINK
RUN cd /opt/venv/lib/python3*/site-packages/botocore/data && \
    find . -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name "sso*" ! -name signin -exec rm -r {} +

FROM pip AS digits-requirements
COPY requirements/digits.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip $INSTALL && $SHRINK

# Compiled here, because nothing can be written where it runs. The agent and the server get only what is theirs, so that a
# change of the operator leaves them as they are.
FROM ${BASE} AS operator-code
COPY operator/perennial /app/perennial
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BASE} AS agent-code
COPY operator/perennial/__init__.py /app/perennial/
COPY operator/perennial/api/__init__.py operator/perennial/api/detect.py operator/perennial/api/evaluate.py operator/perennial/api/task.py /app/perennial/api/
COPY operator/perennial/agent /app/perennial/agent
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BASE} AS server-code
COPY operator/perennial/__init__.py /app/perennial/
COPY operator/perennial/server /app/perennial/server
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BUILD_BASE} AS launcher
COPY operator/perennial/agent/launcher.c /launcher.c
RUN gcc -static -O2 -Wall -Wextra -Werror -s -o /launch /launcher.c

# What makes accounts, logs in, mounts, or is written in Perl runs nowhere in a pod, nor does anything install there. Those
# that call others when they are removed go before them.
FROM ${BASE} AS slim
RUN purge() { dpkg --purge --force-all $(dpkg-query -f '${db:Status-Abbrev}${Package}\n' -W | sed -n 's/^ii *//p' | grep -Ex "$1"); } && \
    purge 'libpam-.*|libpam0g|login.*|passwd|mount|sysvinit-utils|util-linux|util-linux-extra' && \
    purge 'apt|gpgv|adduser|bsdutils|diffutils|hostname|ncurses-bin|python3.*-(venv|whl|distutils|lib2to3)' && \
    purge 'debconf|init-system-helpers|perl-base' && \
    rm -rf /usr/lib/*/gconv /usr/lib/*/perl-base /var/cache/debconf /var/lib/apt /var/log/* \
      /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/pip* /usr/local/bin/pip*

FROM scratch AS runtime
COPY --from=slim / /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
    PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 65532:65532

FROM runtime AS operator
COPY --from=operator-requirements /opt/venv /opt/venv
COPY --from=operator-code /app /app
ENTRYPOINT ["python", "-m", "perennial"]

FROM runtime AS agent
COPY --from=agent-requirements /opt/venv /opt/venv
COPY --from=launcher /launch /opt/perennial/launch
COPY --from=agent-code /app /app
ENTRYPOINT ["python", "-m", "perennial.agent"]

FROM runtime AS drift
COPY --from=drift-requirements /opt/venv /opt/venv
COPY --from=agent-code /app /app
ENTRYPOINT ["python", "-m", "perennial.agent"]

FROM runtime AS server
COPY --from=server-requirements /opt/venv /opt/venv
COPY --from=server-code /app /app
ENTRYPOINT ["python", "-m", "perennial.server"]

FROM runtime AS digits
COPY --from=digits-requirements /opt/venv /opt/venv
COPY e2e/demo/train /app

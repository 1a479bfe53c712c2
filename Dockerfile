# One image for every process of ours: web server, both worker pools, beat, and the commands.
# docker-compose.yml says which of them a container is.
FROM python:3.11.14-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DJANGO_SETTINGS_MODULE=searchapp.settings.main \
    PATH=/opt/lookalike/venv/bin:$PATH

# An additional package index, for builds of torch without CUDA: they spare several gigabytes on a
# machine without a GPU. deploy/README.md tells how. pip reads this variable itself.
ARG PIP_EXTRA_INDEX_URL=""

WORKDIR /opt/lookalike

# The packages first: they change seldom, and the layer is large.
COPY requirements/ requirements/
RUN python -m venv venv && pip install -r requirements/run.txt && pip check

COPY manage.py ./
COPY embeddings/ embeddings/
COPY searchapp/ searchapp/
COPY worker/ worker/
COPY templates/ templates/
COPY static/ static/
COPY demo/ demo/
COPY LICENSE ./

# The data folder belongs to the application's user before a volume is first mounted over it,
# because a new volume takes its owner and mode from here.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp lookalike \
    && install --directory --owner=lookalike --group=lookalike --mode=0700 /data
USER lookalike
VOLUME /data

EXPOSE 8000
CMD ["gunicorn", "-c", "python:searchapp.webserver", "searchapp.wsgi:application"]

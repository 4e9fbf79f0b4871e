# The dashboard and the API for an existing database (DATABASE_URL). Behind HTTPS: TLS ends at the proxy in front.
# Pinned by the digest of its index, for every architecture; `docker buildx imagetools inspect python:3.13-slim` tells a
# newer one: docker build --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
FROM ${PYTHON_IMAGE}

# The one folder that is written to: bindings, the trace of KPIs seen, temporary files. The rest may be read-only.
ENV GRIDLENS_DATA_DIR=/home/gridlens/data TMPDIR=/home/gridlens/data PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 10001 gridlens && install -d -o gridlens -g gridlens "$GRIDLENS_DATA_DIR"
WORKDIR /srv/gridlens

# Packages change less often than our code, so their layer comes first.
COPY constraints.txt requirements-core.txt requirements-app.txt ./
RUN pip install --no-cache-dir -c constraints.txt -r requirements-app.txt azure-identity

COPY app.py ./
COPY .streamlit .streamlit
COPY sql sql
COPY gridlens_core gridlens_core
COPY pages pages

USER gridlens
VOLUME /home/gridlens/data
EXPOSE 8501

# Health has a connection of its own: it answers whatever else waits.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", \
  "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/api/health', timeout=4)"]
# Listening beyond the machine itself makes the presenter's key required (GRIDLENS_API_KEY).
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]

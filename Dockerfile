# One image for every role; docker-compose.yml gives each its command. No embedded server, no compiler, no test in it.
FROM python:3.11-slim-bookworm

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin watchkeeper
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.txt
COPY . .

USER watchkeeper
EXPOSE 8000
CMD ["python", "-m", "granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "--factory", \
     "--workers", "2", "--blocking-threads", "56", "--workers-kill-timeout", "10s", "--respawn-failed-workers", \
     "app.factory:create_app"]

"""Django settings, read from the environment only through `env.KNOWN`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import environ

from searchapp.settings.env import Environment
from searchapp.settings.paths import kept_secret, make_private, runtime_dir

# Allows classes of Django that are generic for the type checker to be subscripted at run time too.
django_stubs_ext.monkeypatch()

env = Environment()

BASE_DIR = Path(__file__).resolve().parents[2]
VERSION = "0.1.0"
MODE: str = env["LOOKALIKE_MODE"]
PRODUCTION = MODE == "production"
DEBUG: bool = env["LOOKALIKE_DEBUG"]
DATA_DIR: Path = env["LOOKALIKE_DATA_DIR"] or BASE_DIR / "var"
RUNTIME_DIR = runtime_dir(DATA_DIR)
DEMO_DIR = BASE_DIR / "demo"
make_private(DATA_DIR)
make_private(RUNTIME_DIR)

HOST: str = env["HOST"]
PORT: int = env["PORT"]
DEMO: bool = env["LOOKALIKE_DEMO"]
ADMIN_PASSWORD: str | None = env["LOOKALIKE_ADMIN_PASSWORD"]

# --- Hosts and security ------------------------------------------------------------------------
_PRODUCTION = "when LOOKALIKE_MODE is production"
SECRET_KEY: str
if PRODUCTION:
    SECRET_KEY = env.required("SECRET_KEY", _PRODUCTION)
    ALLOWED_HOSTS: list[str] = env.required("ALLOWED_HOSTS", _PRODUCTION)
else:
    SECRET_KEY = env["SECRET_KEY"] or kept_secret(DATA_DIR / "secret_key")
    _listening = ["*"] if HOST in ("0.0.0.0", "::") else [HOST]  # noqa: S104 (compared, not bound)
    ALLOWED_HOSTS = env["ALLOWED_HOSTS"] or ["localhost", "127.0.0.1", "[::1]", *_listening]
CSRF_TRUSTED_ORIGINS: list[str] = env["CSRF_TRUSTED_ORIGINS"]

_https = env["LOOKALIKE_HTTPS"]
HTTPS: bool = PRODUCTION if _https is None else _https
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
# Only the owner of the domain knows whether its other host names use HTTPS too.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SAMESITE = "Lax"
# Every address of the site begins with it, whether the proxy in front passes it on or cuts it off:
# see `searchapp.wsgi`.
PREFIX: str = env["LOOKALIKE_PREFIX"]
FORCE_SCRIPT_NAME = PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{PREFIX}/"
X_FRAME_OPTIONS = "DENY"
SECURITY_CONTACT: list[str] = env["LOOKALIKE_SECURITY_CONTACT"]
PROXY_HEADERS: bool = env["LOOKALIKE_PROXY_HEADERS"]
if PROXY_HEADERS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- The application ---------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "searchapp",
]
MIDDLEWARE = [
    "searchapp.middleware.request_id.RequestIdMiddleware",
    "searchapp.middleware.health.HealthMiddleware",
    "searchapp.middleware.content_length.LengthRequiredMiddleware",
    "searchapp.middleware.throttle.ThrottleMiddleware",
    "searchapp.middleware.upload_drafts.UploadDraftsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "searchapp.middleware.csp.ContentSecurityPolicyMiddleware",
    "searchapp.middleware.cache_control.PrivateCacheMiddleware",
    "searchapp.middleware.methods.MethodMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "searchapp.middleware.dataset_redirect.MovedDatasetMiddleware",
    "searchapp.middleware.null_bytes.NulMiddleware",
]
ROOT_URLCONF = "searchapp.urls"
WSGI_APPLICATION = "searchapp.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "datasets"
LOGOUT_REDIRECT_URL = "/"
CSRF_FAILURE_VIEW = "searchapp.pages.errors.csrf_failure"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- Database ----------------------------------------------------------------------------------
_database: dict[str, Any] = (
    environ.Env.db_url_config(env["DATABASE_URL"])
    if env["DATABASE_URL"]
    # Not through a URL, in which %, + and ? in the name of a folder have a special meaning.
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "db.sqlite3")}
)
if _database["ENGINE"].endswith("sqlite3"):
    # Writers acquire the lock when the transaction begins. A deferred transaction that upgrades
    # later fails at once with "database is locked", regardless of the timeout. FULL: an
    # acknowledged upload has been synced to disk.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=30000;"
            "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000; PRAGMA mmap_size=268435456;"
        ),
    }
_database["CONN_MAX_AGE"] = 600
_database["CONN_HEALTH_CHECKS"] = not _database["ENGINE"].endswith("sqlite3")
DATABASES = {"default": _database}

# --- Services ----------------------------------------------------------------------------------
EMBEDDED_REDIS: bool = env["REDIS_URL"] is None
REDIS_SOCKET = RUNTIME_DIR / "redis.sock"
REDIS_URL: str = env["REDIS_URL"] or f"unix://{REDIS_SOCKET}?db=0"
EMBEDDED_MILVUS: bool = env["MILVUS_URI"] is None
MILVUS_URI: str = env["MILVUS_URI"] or f"unix:{RUNTIME_DIR / 'milvus.sock'}"
MILVUS_TOKEN: str = env["MILVUS_TOKEN"]

WEB_WORKERS: int = env["LOOKALIKE_WEB_WORKERS"]
WEB_THREADS: int = env["LOOKALIKE_WEB_THREADS"]
QUERY_THREADS: int = env["LOOKALIKE_QUERY_THREADS"]
INGEST_PROCESSES: int = env["LOOKALIKE_INGEST_PROCESSES"]
INGEST_BATCH: int = env["LOOKALIKE_INGEST_BATCH"]
RUNTIME: str = env["LOOKALIKE_RUNTIME"]
MODEL_CACHE: Path = env["EMBEDDINGS_CACHE"] or DATA_DIR / "cache"

# --- Files -------------------------------------------------------------------------------------
_storage = urlsplit(env["STORAGE_URL"] or "")
_files: dict[str, Any]
if _storage.scheme == "s3":
    _files = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": _storage.netloc,
            "location": _storage.path.strip("/"),
            "access_key": env["AWS_ACCESS_KEY_ID"] or None,
            "secret_key": env["AWS_SECRET_ACCESS_KEY"] or None,
            "endpoint_url": env["AWS_S3_ENDPOINT_URL"] or None,
            "region_name": env["AWS_S3_REGION_NAME"] or None,
            "file_overwrite": True,
            "querystring_auth": True,
        },
    }
else:
    _files = {
        "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
        "OPTIONS": {"location": _storage.path or str(DATA_DIR / "files")},
    }
STORAGES: dict[str, dict[str, Any]] = {
    "default": _files,
    "staticfiles": {"BACKEND": "searchapp.staticfiles.ModuleManifestStorage"},
}
# The credentials for imports from S3.
AWS_ACCESS_KEY_ID: str = env["AWS_ACCESS_KEY_ID"]
AWS_SECRET_ACCESS_KEY: str = env["AWS_SECRET_ACCESS_KEY"]
AWS_S3_ENDPOINT_URL: str = env["AWS_S3_ENDPOINT_URL"]
AWS_S3_REGION_NAME: str = env["AWS_S3_REGION_NAME"]
STATIC_URL = f"{PREFIX}/static/"
STATIC_ROOT = DATA_DIR / "static"
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = ["map", "png", "webp", "woff2", "ico", "gz", "br"]
STATICFILES_DIRS = [BASE_DIR / "static"]
UPLOAD_DIR = DATA_DIR / "uploads"
FILE_UPLOAD_HANDLERS = ["searchapp.infra.upload_handler.HashingUploadHandler"]

# --- Limits ------------------------------------------------------------------------------------
MAX_UPLOAD_BYTES: int = env["LOOKALIKE_MAX_UPLOAD_BYTES"]
MAX_PIXELS: int = env["LOOKALIKE_MAX_PIXELS"]
MAX_FILES: int = env["LOOKALIKE_MAX_FILES"]
MAX_REQUEST_BYTES: int = env["LOOKALIKE_MAX_REQUEST_BYTES"]
IMPORT_ROOTS: list[Path] = env["LOOKALIKE_IMPORT_ROOTS"]
IMPORT_BUCKETS: list[str] = env["LOOKALIKE_IMPORT_BUCKETS"]
MAX_ARCHIVE_BYTES: int = env["LOOKALIKE_MAX_ARCHIVE_BYTES"]
MAX_UNPACKED_BYTES: int = env["LOOKALIKE_MAX_UNPACKED_BYTES"]
MAX_MEMBERS: int = env["LOOKALIKE_MAX_MEMBERS"]
MAX_WAITING_QUERIES: int = env["LOOKALIKE_MAX_WAITING_QUERIES"]
QUERY_KEEP_HOURS: int = env["LOOKALIKE_QUERY_KEEP_HOURS"]
MAX_QUERY_BYTES: int = env["LOOKALIKE_MAX_QUERY_BYTES"]
MIN_FREE_BYTES: int = env["LOOKALIKE_MIN_FREE_BYTES"]
QUERY_TIMEOUT = 20.0
VERIFY_MS: int = env["LOOKALIKE_VERIFY_MS"]
DATA_UPLOAD_MAX_NUMBER_FILES = MAX_FILES
FETCH_ALLOWED_HOSTS: list[str] = env["LOOKALIKE_FETCH_ALLOWED_HOSTS"]
FETCH_ALLOWED_PORTS: list[int] = env["LOOKALIKE_FETCH_PORTS"]
FETCH_TIMEOUT: float = env["LOOKALIKE_FETCH_TIMEOUT"]
FETCH_MAX_REDIRECTS = 5
# Searches by address at a time: they leave threads to all others, here and in the query worker.
MAX_FETCHES = max(1, min(QUERY_THREADS, WEB_WORKERS * WEB_THREADS // 2) // 2)

# --- API ---------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "searchapp.api.core.authentication.KeyAuthentication",
        "searchapp.api.core.authentication.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["searchapp.api.core.permissions.ScopeAllows"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "rest_framework.parsers.JSONParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "EXCEPTION_HANDLER": "searchapp.api.core.errors.problem",
    "DEFAULT_SCHEMA_CLASS": "searchapp.api.core.schema.Schema",
    "URL_FORMAT_OVERRIDE": None,  # what an answer is written in is said by `Accept`
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Lookalike",
    "DESCRIPTION": "Reverse image search: send a picture, get the pictures most like it.",
    "VERSION": "v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVERS": [{"url": PREFIX}] if PREFIX else [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "searchapp.api.core.schema.add_head",
    ],
    # Not all kinds of sources of a job can be requested by a client.
    "ENUM_NAME_OVERRIDES": {
        "SourceKindEnum": "searchapp.models.choices.SourceKind",
        "SelectedStateEnum": "searchapp.api.serializers.SELECTED_STATES",
        "ImageStateEnum": "searchapp.models.choices.ImageState",
        "ItemStateEnum": "searchapp.models.choices.ItemState",
        "MatchKindEnum": "searchapp.api.answer_schemas.KINDS",
    },
}
UNFOLD = {
    "SITE_TITLE": "Lookalike",
    "SITE_HEADER": "Lookalike",
    "SITE_URL": f"{PREFIX}/",
    "SHOW_HISTORY": True,
    "LOGIN": {"form": "searchapp.pages.admin_account.AdminSignInForm"},
    "DASHBOARD_CALLBACK": "searchapp.admin.dashboard.context",
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "searchapp.admin.sidebar.navigation",
    },
    "COLORS": {
        "primary": {
            "50": "#effaf9",
            "100": "#d3f1ef",
            "200": "#a8e2de",
            "300": "#74cdc8",
            "400": "#45b1ac",
            "500": "#2a9591",
            "600": "#1f7875",
            "700": "#1c605e",
            "800": "#1a4d4c",
            "900": "#184140",
            "950": "#082626",
        },
    },
}

# --- Logging -----------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s%(request_id)s: %(message)s"}
    },
    "filters": {
        # 503 means that a service is not available yet, which is normal at every start; 504 that
        # somebody else's server did not answer, 501 that a stranger tried a method of no address.
        "faults": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 0) not in (501, 503, 504),
        },
        "request_id": {"()": "searchapp.middleware.request_id.RequestIdFilter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["faults", "request_id"],
        }
    },
    "root": {"handlers": ["console"], "level": env["LOOKALIKE_LOG_LEVEL"]},
    "loggers": {"django.server": {"propagate": True}, "django.request": {"level": "ERROR"}},
}

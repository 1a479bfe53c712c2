"""The production topology says nothing that the program does not know.

No container engine is needed: the files are read as what they are, and what they hand to our
processes is given to the same parsers that read the environment there.
"""

import fnmatch
import itertools
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from harness.installation import ROOT
from searchapp.settings.env import KNOWN, Environment
from searchapp.supervision.programs import programs

OURS = ("web", "worker-query", "worker-ingest", "beat", "migrate")
THEIRS = ("proxy", "postgres", "redis", "milvus", "etcd", "minio")
VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<rest>[^}]*))?\})")

compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
services: dict[str, dict[str, Any]] = compose["services"]
dockerfile = (ROOT / "Dockerfile").read_text()
instructions = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", dockerfile)).splitlines()
# What a filled-in .env would hold.
DOT_ENV = {
    "SITE_HOST": "pictures.example.org",
    "SECRET_KEY": "s" * 64,
    "POSTGRES_PASSWORD": "0a" * 32,
    "REDIS_PASSWORD": "1b" * 32,
    "MILVUS_PASSWORD": "2c" * 32,
    "MINIO_PASSWORD": "3d" * 32,
}


def interpolated(text: str, values: dict[str, str]) -> str:
    """``text`` as Compose hands it on. Raises ``KeyError`` for what must be set and is not."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match["name"], match["kind"], match["rest"]
        if name is None:
            return "$"
        if values.get(name):
            return values[name]
        if kind == ":-":
            return str(rest)
        raise KeyError(name)

    return VARIABLE.sub(value, text)


def environment(service: str) -> dict[str, str]:
    variables = services[service].get("environment", {})
    return {name: interpolated(str(value), DOT_ENV) for name, value in variables.items()}


def options(command: list[str]) -> dict[str, str]:
    """The short options of a command, with their values."""
    return {
        name: value for name, value in itertools.pairwise(command) if re.fullmatch(r"-\w", name)
    }


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [str(value)]


def test_every_part_is_there() -> None:
    assert set(services) == {*OURS, *THEIRS}


@pytest.mark.parametrize("service", OURS)
def test_our_processes_get_only_variables_that_the_settings_know(service: str) -> None:
    assert set(environment(service)) <= set(KNOWN)


@pytest.mark.parametrize("service", OURS)
def test_the_settings_can_read_what_our_processes_get(service: str) -> None:
    variables = environment(service)
    read = Environment(variables)
    values = {name: read[name] for name in variables}
    assert values["LOOKALIKE_MODE"] == "production"
    assert values["LOOKALIKE_PROXY_HEADERS"] is True
    assert values["ALLOWED_HOSTS"] == ["pictures.example.org"]
    assert values["CSRF_TRUSTED_ORIGINS"] == ["https://pictures.example.org"]


def test_nothing_is_embedded_in_production() -> None:
    variables = environment("web")
    for name, service in (
        ("DATABASE_URL", "postgres"),
        ("REDIS_URL", "redis"),
        ("MILVUS_URI", "milvus"),
    ):
        assert re.search(rf"[@/]{service}:\d+", variables[name]), (
            f"{name} names the service {service}"
        )


def test_all_our_processes_share_one_configuration_and_the_files() -> None:
    shared = environment("migrate")
    for service in OURS:
        assert environment(service).items() >= shared.items()
        assert services[service]["volumes"] == ["data:/data"]
    assert shared["LOOKALIKE_DATA_DIR"] == "/data"
    assert shared["STORAGE_URL"].startswith("file:///data/")


def test_the_services_expect_the_passwords_that_ours_bring() -> None:
    variables = environment("web")
    assert environment("postgres")["POSTGRES_PASSWORD"] in variables["DATABASE_URL"]
    assert environment("redis")["REDISCLI_AUTH"] in variables["REDIS_URL"]
    milvus = environment("milvus")
    assert variables["MILVUS_TOKEN"] == f"root:{milvus['COMMON_SECURITY_DEFAULTROOTPASSWORD']}"
    assert milvus["MINIO_SECRET_ACCESS_KEY"] == environment("minio")["MINIO_ROOT_PASSWORD"]


@pytest.mark.parametrize("name", DOT_ENV)
def test_what_must_be_set_is_asked_for_in_a_sentence(name: str) -> None:
    uses = [
        match
        for text in strings([compose["x-application"], services])
        for match in VARIABLE.finditer(text)
        if match["name"] == name
    ]
    sentences = [match["rest"] for match in uses if match["kind"] == ":?"]
    assert sentences, f"nothing demands {name}"
    assert all(name in sentence and sentence.endswith(".") for sentence in sentences)
    assert not [match for match in uses if match["kind"] == ":-"], f"{name} must have no default"


def test_the_example_of_the_environment_names_what_can_be_set() -> None:
    text = (ROOT / "deploy" / "env.example").read_text()
    required = set(re.findall(r"(?m)^(\w+)=$", text))
    optional = set(re.findall(r"(?m)^#(\w+)=", text))
    used = {
        match["name"]
        for value in strings(compose)
        for match in VARIABLE.finditer(value)
        if match["name"]
    }
    assert required == set(DOT_ENV)
    assert optional <= used


def test_a_default_that_is_written_twice_is_the_same_twice() -> None:
    for value in strings(services):
        for match in VARIABLE.finditer(value):
            if match["kind"] == ":-" and match["rest"] and match["name"] in KNOWN:
                expected = KNOWN[match["name"]].default
                assert expected in (None, match["rest"]), match["name"]


@pytest.mark.parametrize("service", [*OURS, *THEIRS])
def test_every_image_is_pinned_to_a_version(service: str) -> None:
    _, _, tag = services[service]["image"].partition(":")
    assert re.search(r"^v?\d+\.\d+|^RELEASE\.\d{4}-", tag), services[service]["image"]


def test_our_image_carries_our_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {services[service]["image"] for service in OURS} == {f"lookalike:{version}"}


def test_only_the_proxy_is_reachable_from_outside() -> None:
    publishing = {name for name, service in services.items() if "ports" in service}
    assert publishing == {"proxy"}
    assert not [name for name, service in services.items() if "network_mode" in service]
    assert compose["networks"]["back"]["internal"] is True
    outward = {name for name, service in services.items() if set(service["networks"]) - {"back"}}
    assert outward == {"proxy", "web", "worker-query"}


def test_every_part_that_serves_has_a_health_check_and_comes_back() -> None:
    for name, service in services.items():
        if name != "migrate":
            assert service["restart"] == "unless-stopped", name
        if name not in ("migrate", "beat"):
            assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
    waited_for = {
        other
        for service in services.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert all("healthcheck" in services[name] for name in waited_for)


def test_named_volumes_are_declared_and_keep_what_must_last() -> None:
    used = {
        volume.split(":")[0]
        for service in services.values()
        for volume in service["volumes"]
        if not volume.startswith("./")
    }
    assert used == set(compose["volumes"])
    for name in ("postgres", "redis", "milvus", "etcd", "minio"):
        assert services[name]["volumes"], name


def test_files_that_are_mounted_exist() -> None:
    for service in services.values():
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_file()


def test_redis_keeps_its_queue_as_the_embedded_one_does() -> None:
    command = services["redis"]["command"]
    embedded = next(program.command for program in programs() if program.name == "redis")
    for name in ("--appendonly", "--appendfsync", "--save", "--maxmemory-policy"):
        assert command[command.index(name) + 1] == embedded[embedded.index(name) + 1], name


@pytest.mark.parametrize(
    ("service", "program"), [("worker-query", "query"), ("worker-ingest", "ingest")]
)
def test_the_worker_pools_are_those_of_a_single_machine(service: str, program: str) -> None:
    here = options(next(entry.command for entry in programs() if entry.name == program))
    there = options([interpolated(part, DOT_ENV) for part in services[service]["command"]])
    for name in ("-A", "-P", "-Q", "-c"):
        assert there[name] == here[name], name
    # The health check asks the very node that the command names.
    node = there["-n"].replace("%h", "$HOSTNAME")
    check = interpolated(services[service]["healthcheck"]["test"][1], DOT_ENV)
    assert options(shlex.split(check))["-d"] == node


def test_the_web_server_is_that_of_a_single_machine() -> None:
    here = next(entry.command for entry in programs() if entry.name == "web")
    assert services["web"]["command"] == here[here.index("gunicorn") :]
    variables = environment("web")
    assert f"reverse_proxy web:{variables['PORT']}" in (ROOT / "deploy" / "Caddyfile").read_text()
    assert f":{variables['PORT']}/healthz" in services["web"]["healthcheck"]["test"][-1]


def test_the_proxy_gets_every_variable_that_its_configuration_reads() -> None:
    read = re.findall(r"\{\$(\w+)\}", (ROOT / "deploy" / "Caddyfile").read_text())
    assert set(read) == set(environment("proxy"))


def test_the_image_installs_what_the_makefile_installs() -> None:
    installed = set(re.findall(r"-r (requirements/\S+\.txt)", dockerfile))
    assert installed == {"requirements/run.txt"}
    assert "requirements/run.txt" in (ROOT / "Makefile").read_text()
    pinned = (ROOT / "requirements" / "run.txt").read_text()
    assert re.search(r"(?m)^torch==2\.13\.0$", pinned), "an unpinned torch brings CUDA along"


def test_the_image_takes_only_files_that_exist_and_that_its_context_holds() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {rule[1:].rstrip("/") for rule in rules if rule.startswith("!")}
    copied = {
        source.rstrip("/")
        for line in instructions
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    assert rules[[bool(rule) and rule[0] != "#" for rule in rules].index(True)] == "*"
    assert copied == let_in
    for source in copied:
        assert (ROOT / source).exists(), source


def test_the_image_runs_as_nobody_special_and_from_a_pinned_base() -> None:
    users = [line.split()[1] for line in instructions if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")
    (base,) = [line.split()[1] for line in instructions if line.startswith("FROM ")]
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)


def test_no_secret_of_this_folder_gets_into_the_image() -> None:
    rules = [
        rule for rule in (ROOT / ".dockerignore").read_text().splitlines() if rule.startswith("!")
    ]
    for name in (".env", ".git", "var", ".venv"):
        assert not any(fnmatch.fnmatch(name, rule[1:].rstrip("/")) for rule in rules), name

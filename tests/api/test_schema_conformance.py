"""The schema says what happens: wild requests to every operation, answered in process.

Schemathesis makes the requests from the schema, good and bad ones, and holds each answer against
it. Redis and Milvus are not there, which the schema must say too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from searchapp.models import ApiKey, ImportJob, JobState, PartialUpload, Scope
from searchapp.services.datasets import members
from searchapp.services.datasets.dataset_service import create_dataset
from tests.factories import add_image
from tests.properties import examples

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
schema: Any = schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application())
OPERATIONS = {result.ok().label: result.ok() for result in schema.get_all_operations()}


@pytest.fixture
def there(db: None, settings: Any, tmp_path: Path) -> dict[str, Any]:
    """One of each of what addresses name; `key` acts for a superuser who is its uploader too."""
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "searchapp.infra.storage.DurableFileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }
    user = User.objects.create_superuser("holder")
    dataset = create_dataset(name="Letters", owner=user)
    members.put(dataset, User.objects.create_user("viewer").username, "viewer")
    job = ImportJob.objects.create(dataset=dataset, user=user, is_open=True, state=JobState.RUNNING)
    assert dataset.active_index is not None
    return {
        "key": ApiKey.issue(name="wild", user_id=user.pk, scope=Scope.ADMIN)[1],
        "slug": dataset.slug,
        "username": "viewer",
        "images": add_image(dataset).pk,
        "indexes": dataset.active_index.pk,
        "jobs": str(job.pk),
        "uploads": str(PartialUpload.objects.create(job=job, user=user, name="a", size=1).pk),
    }


def test_the_schema_knows_every_address() -> None:
    assert len(OPERATIONS) > 45


@pytest.mark.slow
@pytest.mark.parametrize("label", OPERATIONS)
def test_answers_are_as_the_schema_says(label: str, there: dict[str, Any]) -> None:
    operation = OPERATIONS[label]
    named = label.split("/")[3]  # images, jobs, …

    @settings(
        max_examples=examples(15),
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy() | _negative(operation), is_there=st.booleans())
    def ask(case: Any, is_there: bool) -> None:
        if is_there and case.path_parameters and not _is_bad(case, ParameterLocation.PATH):
            for name in case.path_parameters:
                case.path_parameters[name] = there.get(name, there.get(named, 1))
        headers = {"Authorization": f"Bearer {there['key']}"}
        response = case.call(headers=headers)
        assert response.status_code != 500
        case.validate_response(response, checks=CHECKS)
        # In a form, an empty field is one that was left out. 412 is tus's own word for a request
        # without its headers.
        if case.media_type in (None, "application/json") and response.status_code != 412:
            _expect_rejection_of_bad_data(case, response)

    ask()


def _is_bad(case: Any, location: ParameterLocation) -> bool:
    """Whether this part of a request was made so that it does not fit the schema."""
    component = case.meta.components.get(location)
    return component is not None and component.mode.is_negative


def _expect_rejection_of_bad_data(case: Any, response: Any) -> None:
    """What does not fit the schema is refused, but for a number where a text is meant and such: as
    in a form, `969` is a name too."""
    try:
        case.validate_response(response, checks=[checks.negative_data_rejection])
    except FailureGroup as group:
        rest = [one for one in group.exceptions if "violates `type`" not in str(one)]
        if rest:
            raise


def _negative(operation: Any) -> Any:
    return operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

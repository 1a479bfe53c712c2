"""Every page of the admin opens, and what must not be edited cannot be."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from searchapp.models import ApiKey, Dataset, Image, ImageState, ImportItem, ImportJob, key_digest
from searchapp.services.datasets import dataset_deletion
from searchapp.services.datasets.dataset_service import create_dataset

pytestmark = pytest.mark.django_db
MODELS = sorted(admin.site._registry, key=lambda model: model.__name__)


@pytest.fixture
def chief() -> User:
    return User.objects.create_superuser("chief", password="correct-horse-battery")


@pytest.fixture
def staff(chief: User) -> Client:
    client = Client()
    client.force_login(chief)
    return client


@pytest.fixture
def rows(chief: User) -> Dataset:
    dataset = create_dataset(name="Pictures", owner=chief)
    image = Image.objects.create(
        dataset=dataset, content_key="a" * 64, sha256="a" * 64, name="a.jpg", bytes=1,
        state=ImageState.FAILED, error_code="internal_error",
    )  # fmt: skip
    job = ImportJob.objects.create(dataset=dataset, user=chief, total=1)
    ImportItem.objects.create(job=job, position=0, name="a.jpg", image=image, state="failed")
    ApiKey.issue(name="key", user_id=chief.pk, scope="read")
    return dataset


def _address(model: type[Model], page: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_lists_and_forms_open(staff: Client, rows: Dataset, model: type[Model]) -> None:
    assert staff.get(_address(model, "changelist")).status_code == 200
    assert staff.get(_address(model, "changelist"), {"q": "a"}).status_code == 200
    added = staff.get(_address(model, "add")).status_code
    assert added in (200, 403)
    for row in model._default_manager.all()[:1]:
        assert staff.get(_address(model, "change", row.pk)).status_code == 200


def test_the_front_page_opens(staff: Client) -> None:
    assert staff.get("/admin/").status_code == 200


def test_a_key_is_shown_once_and_stored_as_a_hash(staff: Client, chief: User) -> None:
    form = {"name": "script", "user": chief.pk, "scope": "write"}
    page = staff.post(_address(ApiKey, "add"), form, follow=True)
    text = next(str(message) for message in page.context["messages"] if "lk_" in str(message))
    key = next(word for word in text.split() if word.startswith("lk_"))
    row = ApiKey.objects.get()
    assert (row.digest, row.prefix) == (key_digest(key), key[:8])
    assert key not in str(row.__dict__)


def test_failed_images_are_tried_again(staff: Client, rows: Dataset) -> None:
    image = Image.objects.get()
    action = {"action": "try_again", "_selected_action": [image.pk]}
    staff.post(_address(Image, "changelist"), action)
    image.refresh_from_db()
    assert image.state == ImageState.RECEIVED


def test_editing_touches_title_and_metadata_only(staff: Client, rows: Dataset) -> None:
    image = Image.objects.get()
    form = {"title": "New", "metadata": '{"a": 1}', "state": "ready", "sha256": "b" * 64}
    staff.post(_address(Image, "change", image.pk), form)
    image.refresh_from_db()
    assert (image.title, image.metadata) == ("New", {"a": 1})
    assert (image.state, image.sha256) == (ImageState.FAILED, "a" * 64)


def test_deleting_and_adding_datasets_goes_through_the_services(
    staff: Client, chief: User, rows: Dataset
) -> None:
    staff.post(_address(Dataset, "delete", rows.pk), {"post": "yes"})
    assert not Dataset.objects.filter(deleted=None).exists()
    action = {"action": "bring_back", "_selected_action": [rows.pk]}
    staff.post(_address(Dataset, "changelist"), action)
    assert Dataset.objects.get(deleted=None) == rows
    form = {"name": "By hand", "slug": "by-hand", "visibility": "public", "owner": chief.pk}
    staff.post(_address(Dataset, "add"), form)
    assert Dataset.objects.get(slug="by-hand").active_index.dimension == 1280


def test_others_stay_outside(rows: Dataset) -> None:
    visitor = Client()
    visitor.force_login(User.objects.create_user("somebody"))
    assert visitor.get("/admin/").status_code == 302


def test_staff_do_what_they_were_given_the_right_to(chief: User, rows: Dataset) -> None:
    clerk = User.objects.create_user("clerk", is_staff=True)
    client = Client()
    client.force_login(clerk)
    assert client.get(_address(ApiKey, "changelist")).status_code == 403
    looks = ("view_dataset", "view_apikey")
    clerk.user_permissions.set(Permission.objects.filter(codename__in=looks))
    dataset_deletion.delete_dataset(rows)
    for model, action in ((Dataset, "bring_back"), (ApiKey, "revoke")):
        address = _address(model, "changelist")
        form = {"action": action, "_selected_action": [model._default_manager.get().pk]}
        assert client.get(address).status_code == 200
        client.post(address, form)
    assert not Dataset.objects.filter(deleted=None).exists()
    assert ApiKey.objects.get().revoked is None

"""The list of datasets, and making, changing and deleting one."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import Dataset, Image, ImageState
from searchapp.pages.access import managed_dataset
from searchapp.pages.forms import DatasetForm, DeleteDatasetForm
from searchapp.pages.responses import count
from searchapp.services import datasets as service
from searchapp.services.errors import ServiceError

PAGE = 40
COVERS = 4


@dataclass(frozen=True)
class Row:
    dataset: Dataset
    pictures: str
    covers: list[Image]
    is_own: bool


@require_safe
def dataset_list(request: HttpRequest) -> HttpResponse:
    """Datasets by name; `?after=SLUG` begins behind that one."""
    visible = Dataset.objects.visible_to(request.user).select_related("owner")
    after = visible.filter(slug=request.GET.get("after", "")).first()
    if after is not None:
        visible = visible.filter(Q(name__gt=after.name) | Q(name=after.name, pk__gt=after.pk))
    found = list(visible.order_by("name", "pk")[: PAGE + 1])
    shown = found[:PAGE]
    numbers = service.counts_of(shown)
    rows = [
        Row(
            dataset=dataset,
            pictures=count(numbers[dataset.pk]["ready"], "picture", "pictures"),
            covers=list(
                Image.objects.filter(dataset=dataset, state=ImageState.READY).order_by("-pk")[
                    :COVERS
                ]
            ),
            is_own=dataset.owner_id == request.user.pk,
        )
        for dataset in shown
    ]
    context = {
        "rows": rows,
        "next": shown[-1].slug if len(found) > PAGE else None,
        "is_first": after is None,
    }
    return render(request, "datasets/list.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    form = DatasetForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and request.user.is_authenticated:
        try:
            dataset = service.create_dataset(
                name=form.cleaned_data["name"],
                description=form.cleaned_data["description"],
                visibility=form.cleaned_data["visibility"],
                owner=request.user,
            )
        except ServiceError as error:
            form.add_error("name", error.detail)
        else:
            return redirect(dataset)
    return render(request, "datasets/new.html", {"form": form}, status=_status(form))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = managed_dataset(request.user, slug)
    form = DatasetForm(request.POST or None, instance=dataset)
    if request.method == "POST" and form.is_valid():
        changed = {**form.cleaned_data, "updated": timezone.now()}
        Dataset.objects.filter(pk=dataset.pk).update(**changed)
        messages.success(request, "The settings are saved.")
        return redirect("dataset-settings", slug)
    # A form that does not hold has written into its instance: show the stored name above it.
    stored = managed_dataset(request.user, slug)
    context = {
        "form": form,
        "dataset": stored,
        "delete_form": DeleteDatasetForm(stored),
        "may_edit": True,
        "may_manage": True,
    }
    return render(request, "datasets/settings.html", context, status=_status(form))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = managed_dataset(request.user, slug)
    if request.method != "POST":  # signing in leads here when a session had ended
        return redirect("dataset-settings", slug)
    form = DeleteDatasetForm(dataset, request.POST)
    if form.is_valid():
        service.delete_dataset(dataset)
        messages.success(request, f"The dataset ‘{dataset.name}’ and its pictures are deleted.")
        return redirect("datasets")
    context = {
        "form": DatasetForm(instance=dataset),
        "dataset": dataset,
        "delete_form": form,
        "may_edit": True,
        "may_manage": True,
    }
    return render(request, "datasets/settings.html", context, status=400)


def _status(form: DatasetForm) -> int:
    return 400 if form.errors else 200

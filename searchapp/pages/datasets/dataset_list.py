"""The list of datasets, and creating one."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import Dataset, Image, ImageState
from searchapp.pages.forms import DatasetForm
from searchapp.pages.responses import count
from searchapp.services.datasets import dataset_deletion
from searchapp.services.datasets import dataset_service as service
from searchapp.services.errors import ServiceError

PAGE = 40
COVERS = 4


@dataclass(frozen=True)
class DatasetRow:
    dataset: Dataset
    pictures: str
    covers: list[Image]
    is_own: bool


@require_safe
def dataset_list(request: HttpRequest) -> HttpResponse:
    """Datasets by name; `?after=SLUG` starts after that one."""
    visible = Dataset.objects.visible_to(request.user).select_related("owner")
    after = visible.filter(slug=request.GET.get("after", "")).first()
    if after is not None:
        visible = visible.filter(Q(name__gt=after.name) | Q(name=after.name, pk__gt=after.pk))
    datasets = list(visible.order_by("name", "pk")[: PAGE + 1])
    shown = datasets[:PAGE]
    numbers = service.counts_of(shown)
    rows = [
        DatasetRow(
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
        "has_deleted": dataset_deletion.deleted_for(request.user).exists(),
        "next": shown[-1].slug if len(datasets) > PAGE else None,
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


def _status(form: DatasetForm) -> int:
    return 400 if form.errors else 200

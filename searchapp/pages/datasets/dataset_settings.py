"""A dataset's settings and members; copying, deleting and restoring it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from searchapp.models import Dataset, Role
from searchapp.pages.access import managed_dataset, visible_dataset
from searchapp.pages.forms import DeleteDatasetForm, MemberForm, SettingsForm
from searchapp.pages.responses import count
from searchapp.services.datasets import dataset_deletion, members
from searchapp.services.datasets import dataset_service as service
from searchapp.services.errors import ServiceError
from searchapp.services.images import bulk_actions

MAX_DELETED = 200


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = managed_dataset(request.user, slug)
    form = SettingsForm(request.POST or None, instance=dataset)
    if request.method == "POST" and form.is_valid():
        stored = Dataset.objects.get(pk=dataset.pk)  # the form has changed its instance
        try:
            service.change_dataset(stored, **form.cleaned_data)
        except ServiceError as error:
            form.add_error(
                "slug" if error.code.endswith("slug") or "slug" in error.code else None,
                error.detail,
            )
        else:
            messages.success(request, "The settings are saved.")
            return redirect("dataset-settings", stored.slug)
    return _page(request, slug, form=form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = managed_dataset(request.user, slug)
    if request.method != "POST":  # the redirect after signing in again is a GET
        return redirect("dataset-settings", slug)
    form = DeleteDatasetForm(dataset, request.POST)
    if not form.is_valid():
        return _page(request, slug, delete_form=form)
    dataset_deletion.delete_dataset(dataset)
    messages.success(
        request,
        f"The dataset ‘{dataset.name}’ and its pictures are deleted.",
        extra_tags=reverse("dataset-restore", args=[dataset.pk]),
    )
    return redirect("datasets")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def copy(request: HttpRequest, slug: str) -> HttpResponse:
    """Copy a dataset into a new one that the user owns; redirects to the job."""
    dataset = visible_dataset(request.user, slug)
    if request.method != "POST" or not request.user.is_authenticated:
        return redirect(dataset)
    name = request.POST.get("name", "").strip()[:120] or f"Copy of {dataset.name}"[:120]
    _, job = bulk_actions.copy_dataset(dataset, name=name, user=request.user)
    return redirect("job", job.pk)


@login_required
@require_safe
def deleted(request: HttpRequest) -> HttpResponse:
    """Datasets that were deleted in the last day."""
    rows = [
        (dataset, count(dataset_deletion.pictures_in(dataset), "picture", "pictures"))
        for dataset in dataset_deletion.deleted_for(request.user)[:MAX_DELETED]
    ]
    return render(request, "datasets/deleted.html", {"rows": rows})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def restore(request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        return redirect("datasets-deleted")
    datasets = Dataset.objects.managed_by(request.user).exclude(deleted=None)
    dataset = get_object_or_404(datasets, pk=pk)
    try:
        restored = dataset_deletion.restore_dataset(dataset)
    except ServiceError as error:
        messages.error(request, error.detail)
        return redirect("datasets-deleted")
    messages.success(request, f"The dataset ‘{restored.name}’ is back.")
    return redirect(restored)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def member_add(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = managed_dataset(request.user, slug)
    if request.method != "POST":
        return redirect("dataset-settings", slug)
    form = MemberForm(request.POST)
    if form.is_valid():
        try:
            member = members.add(dataset, form.cleaned_data["username"], form.cleaned_data["role"])
        except ServiceError as error:
            form.add_error("username", error.detail)
        else:
            messages.success(request, f"‘{member.username}’ is {_a(member.role)} now.")
            return _to_members(slug)
    return _page(request, slug, member_form=form)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def member_change(request: HttpRequest, slug: str) -> HttpResponse:
    """Change a member's role, remove them, or transfer the dataset to them."""
    dataset = managed_dataset(request.user, slug)
    if request.method != "POST" or not request.user.is_authenticated:
        return redirect("dataset-settings", slug)
    username, action = request.POST.get("username", ""), request.POST.get("action", "")
    try:
        if action == "remove":
            members.remove(dataset, username)
            text = f"‘{username}’ is no member any more."
        elif action == "transfer":
            if not members.may_transfer(dataset, request.user):
                raise members.NotTheHolder(dataset)
            members.transfer(dataset, username)
            text = f"The dataset belongs to ‘{username}’ now. You are one of its owners still."
        else:
            member = members.put(dataset, username, request.POST.get("role", ""))
            text = f"‘{username}’ is {_a(member.role)} now."
    except ServiceError as error:
        return _page(request, slug, error=error)
    messages.success(request, text)
    if not Dataset.objects.visible_to(request.user).filter(pk=dataset.pk).exists():
        return redirect("datasets")  # they have removed themselves
    if not Dataset.objects.get(pk=dataset.pk).may_manage(request.user):
        return redirect(dataset)
    return _to_members(slug)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, slug: str) -> HttpResponse:
    dataset = visible_dataset(request.user, slug)
    if request.method == "POST":
        try:
            members.remove(dataset, request.user.get_username())
        except ServiceError as error:
            messages.error(request, error.detail)
            return redirect(dataset)
        messages.success(request, f"You have left the dataset ‘{dataset.name}’.")
        return redirect("datasets")
    if not dataset.memberships.filter(user=request.user.pk).exists():
        raise Http404("You are no member of this dataset.")
    return render(request, "datasets/leave.html", {"dataset": dataset})


def _to_members(slug: str) -> HttpResponse:
    return redirect(f"{reverse('dataset-settings', args=[slug])}#members")


def _a(role: str) -> str:
    return f"a{'n' if role in (Role.EDITOR, Role.OWNER) else ''} {role}"


def _page(
    request: HttpRequest,
    slug: str,
    *,
    form: SettingsForm | None = None,
    delete_form: DeleteDatasetForm | None = None,
    member_form: MemberForm | None = None,
    error: ServiceError | None = None,
) -> HttpResponse:
    # An invalid form has changed its instance: show the stored name above it.
    stored = managed_dataset(request.user, slug)
    forms = (form, delete_form, member_form)
    bad = error is not None or any(one is not None and one.errors for one in forms)
    status = (error.status if error else 400) if bad else 200
    context = {
        "form": form or SettingsForm(instance=stored),
        "dataset": stored,
        "delete_form": delete_form or DeleteDatasetForm(stored),
        "member_form": member_form or MemberForm(),
        "members": members.members_of(stored),
        "roles": Role.choices,
        "error": error,
        "may_edit": True,
        "may_manage": True,
        "may_transfer": request.user.is_authenticated
        and members.may_transfer(stored, request.user),
        "number": dataset_deletion.pictures_in(stored),
    }
    return render(request, "datasets/settings.html", context, status=status)

"""What a key's scope allows, and whose dataset it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.http import Http404
from rest_framework.exceptions import APIException, NotAuthenticated, PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from searchapp.models import ApiKey, Dataset, Scope
from searchapp.models.dataset import DatasetQuerySet
from searchapp.services.errors import ServiceError

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which itself imports this module by its setting


class ScopeAllows(BasePermission):
    """Reading is open to anyone (what there is to read is another question, see below); changing
    needs a signed-in user or a key whose scope is `write` at least.

    A view that changes nothing though its method is POST sets `scope = Scope.READ`.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        default = Scope.READ if request.method in SAFE_METHODS else Scope.WRITE
        needed = getattr(view, "scope", default)
        if needed == Scope.READ:
            return True
        if not request.user.is_authenticated:
            return False  # answered with 401
        if isinstance(request.auth, ApiKey) and not request.auth.allows(needed):
            raise PermissionDenied(
                f"This key has the scope '{request.auth.scope}'; '{needed}' is needed.",
                code="insufficient_scope",
            )
        return True


def visible_dataset(request: Request, slug: str) -> Dataset:
    """Return a dataset that the user may see; one they may not see is not there for them (404).

    A slug that it had once leads to it too.
    """
    dataset = Dataset.objects.visible_to(request.user).named(slug)
    if dataset is None:
        raise Http404
    return dataset


def chosen_datasets(request: Request, slugs: Iterable[str]) -> DatasetQuerySet:
    """Return the datasets that have, or had, these slugs; all that the user may see for none.

    Raises:
        ServiceError: code `not_found` where there is none, or none that the user may see.
    """
    visible = Dataset.objects.visible_to(request.user)
    unique_slugs = list(dict.fromkeys(slugs))
    if not unique_slugs:
        return visible
    chosen = []
    for slug in unique_slugs:
        dataset = visible.named(slug)
        if dataset is None:
            raise ServiceError("not_found", f"There is no dataset '{slug}'.", status=404)
        chosen.append(dataset.pk)
    return visible.filter(pk__in=chosen)


def denied(request: Request, sentence: str, code: str) -> APIException:
    """Return the error for somebody who may not: 401 unless they have said who they are."""
    if not request.user.is_authenticated:
        return NotAuthenticated()
    return PermissionDenied(sentence, code=code)


def require_editor(request: Request, dataset: Dataset) -> None:
    """Raise `denied` unless the user may change the pictures of `dataset`."""
    if not dataset.may_edit(request.user):
        sentence = "Only an editor or owner of this dataset may change its pictures."
        raise denied(request, sentence, "not_editor")


def require_owner(request: Request, dataset: Dataset) -> None:
    """Raise `denied` unless the user may change the settings of `dataset`."""
    if not dataset.may_manage(request.user):
        raise denied(request, "Only an owner of this dataset may do this.", "not_owner")

"""Members of a dataset, their roles, and its owner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction

from searchapp.models import Dataset, Membership, Role
from searchapp.services.errors import Conflict, Invalid, ServiceError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# The page lists all members without pagination.
MAX_DATASET_MEMBERS = 1000


class NotTheHolder(ServiceError):
    """The user manages the dataset, but only its holder may transfer it."""

    status = 403

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(
            "not_holder",
            f"Only ‘{dataset.owner.get_username()}’, whom this dataset belongs to, may hand it "
            "over.",
        )


@dataclass(frozen=True)
class Member:
    """One member of a dataset; `is_holder` is the user that it belongs to."""

    username: str
    user_id: int
    role: str
    is_holder: bool


def members_of(dataset: Dataset) -> list[Member]:
    """Return the holder, then the members by name, in one statement each."""
    rows = dataset.memberships.select_related("user").exclude(user_id=dataset.owner_id)
    holder = Member(dataset.owner.get_username(), dataset.owner_id, Role.OWNER, True)
    return [
        holder,
        *(Member(row.user.get_username(), row.user_id, row.role, False) for row in rows),
    ]


def find(dataset: Dataset, username: str) -> Member | None:
    """Return the member with this name, or None."""
    return next((one for one in members_of(dataset) if one.username == username), None)


def put(dataset: Dataset, username: str, role: str) -> Member:
    """Make the user a member with this role, or change their role.

    Raises `Invalid` with code `unknown_user` or `invalid_role`, and `Conflict` with code
    `is_holder` or `too_many_members`.
    """
    if role not in Role.values:
        raise Invalid("invalid_role", f"A role is one of: {', '.join(Role.values)}.")
    user = _user(username)
    with transaction.atomic():
        # Locked, so that the dataset is not transferred between check and write.
        locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
        _not_the_holder(locked, user)
        others = locked.memberships.exclude(user_id=user.pk)
        if others.count() >= MAX_DATASET_MEMBERS:
            raise Conflict(
                "too_many_members", f"A dataset has {MAX_DATASET_MEMBERS} members at most."
            )
        Membership.objects.update_or_create(
            dataset_id=locked.pk, user_id=user.pk, defaults={"role": role}
        )
    return Member(user.get_username(), user.pk, role, False)


def add(dataset: Dataset, username: str, role: str) -> Member:
    """Add a new member; an existing member keeps their role.

    Raises `Invalid` with code `unknown_user` or `invalid_role`, and `Conflict` with code
    `already_member`, `is_holder` or `too_many_members`.
    """
    if dataset.memberships.filter(user__username=username).exists():
        raise Conflict(
            "already_member", f"‘{username}’ is a member already. Change the role below instead."
        )
    return put(dataset, username, role)


def remove(dataset: Dataset, username: str) -> None:
    """Remove a member; members may also remove themselves.

    Raises `ServiceError` with code `not_a_member` (404), and `Conflict` with code `is_holder`.
    """
    if dataset.owner.get_username() == username:
        _not_the_holder(dataset, dataset.owner)
    gone, _ = dataset.memberships.filter(user__username=username).delete()
    if not gone:
        raise ServiceError(
            "not_a_member", f"‘{username}’ is no member of this dataset.", status=404
        )


def transfer(dataset: Dataset, username: str) -> None:
    """Transfer the dataset. The former holder stays a member with the role of an owner.

    Raises `Invalid` with code `unknown_user`, and `Conflict` with code `is_holder`, or with code
    `changed_meanwhile` when it has just been transferred.
    """
    user = _user(username)
    _not_the_holder(dataset, user)
    with transaction.atomic():
        before = dataset.owner_id
        if not Dataset.objects.filter(pk=dataset.pk, owner_id=before).update(owner=user):
            raise Conflict(
                "changed_meanwhile", "Somebody else has just changed this. Look again first."
            )
        Membership.objects.filter(dataset_id=dataset.pk, user_id=user.pk).delete()
        Membership.objects.update_or_create(
            dataset_id=dataset.pk, user_id=before, defaults={"role": Role.OWNER}
        )
    dataset.owner = user


def may_transfer(dataset: Dataset, user: User) -> bool:
    """Whether `user` may transfer the dataset."""
    return user.is_superuser or dataset.owner_id == user.pk


def _user(username: str) -> User:
    user = get_user_model().objects.filter(username=username.strip(), is_active=True).first()
    if user is None:
        raise Invalid(
            "unknown_user",
            f"There is nobody with the username ‘{username.strip()[:150]}’. Names are "
            "case-sensitive; people are added by an administrator.",
        )
    return user


def _not_the_holder(dataset: Dataset, user: User) -> None:
    if dataset.owner_id == user.pk:
        raise Conflict(
            "is_holder",
            f"This dataset belongs to ‘{user.get_username()}’, who is always its owner. Hand it "
            "over to somebody else first.",
        )

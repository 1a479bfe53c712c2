"""Forms of the pages."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from searchapp.models import Dataset, Image, Role
from searchapp.services.datasets.dataset_deletion import check_number
from searchapp.services.datasets.dataset_service import check_slug
from searchapp.services.errors import Invalid
from searchapp.services.imports import image_fields


class DatasetForm(forms.ModelForm[Dataset]):
    class Meta:
        model = Dataset
        fields = ["name", "description", "visibility"]
        widgets = {
            "name": forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
            "description": forms.Textarea(attrs={"class": "input", "rows": 4}),
            "visibility": forms.RadioSelect,
        }
        error_messages = {
            "name": {
                "required": "A dataset needs a name.",
                "max_length": "This name is too long: 120 characters at most.",
            }
        }


class SettingsForm(DatasetForm):
    class Meta(DatasetForm.Meta):
        fields = ["name", "slug", "description", "visibility"]
        widgets = {
            **DatasetForm.Meta.widgets,
            "slug": forms.TextInput(
                attrs={"class": "input", "autocomplete": "off", "autocapitalize": "none"}
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["slug"].required = False  # unchanged where none is given

    def clean_slug(self) -> str:
        before: str = self.initial["slug"]
        slug: str = self.cleaned_data["slug"] or before
        if slug != before:
            try:
                check_slug(slug)
            except Invalid as error:
                raise forms.ValidationError(error.detail) from None
        return slug


class DeleteDatasetForm(forms.Form):
    """Deleting asks for the number of images, so that it never happens by accident."""

    number = forms.CharField(
        required=False,
        max_length=20,
        widget=forms.TextInput(
            attrs={"class": "input", "autocomplete": "off", "inputmode": "numeric"}
        ),
    )

    def __init__(self, dataset: Dataset, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dataset = dataset

    def clean_number(self) -> str:
        # Pages show '12,000', and people may type it like that.
        text = re.sub(r"[\s,.']", "", self.cleaned_data["number"])
        number = int(text) if text.isascii() and text.isdigit() else None
        try:
            check_number(self._dataset, number)
        except Invalid as error:
            raise forms.ValidationError(error.detail) from None
        return text


class MemberForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        widget=forms.TextInput(
            attrs={"class": "input", "autocomplete": "off", "autocapitalize": "none"}
        ),
        error_messages={"required": "Give the username of the person to add."},
    )
    role = forms.ChoiceField(
        choices=Role.choices,
        initial=Role.VIEWER,
        widget=forms.Select(attrs={"class": "input"}),
        error_messages={"invalid_choice": "Choose one of the roles."},
    )


class ImageForm(forms.ModelForm[Image]):
    """An image's metadata that people edit; `words` are its tags, separated by commas."""

    words = forms.CharField(
        label="Tags",
        required=False,
        max_length=image_fields.MAX_TAGS * (image_fields.TAG_LENGTH + 2),
        widget=forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
    )

    class Meta:
        model = Image
        fields = ["title", "label"]
        widgets = {
            "title": forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
            "label": forms.TextInput(attrs={"class": "input", "autocomplete": "off"}),
        }
        error_messages = {
            "title": {"max_length": "This title is too long: 255 characters at most."},
            "label": {"max_length": "This label is too long: 120 characters at most."},
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["words"].initial = ", ".join(str(tag) for tag in self.instance.tags)

    def clean_words(self) -> list[str]:
        try:
            return list(image_fields.tags(self.cleaned_data["words"]))
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

"""Forms of the pages."""

from __future__ import annotations

from typing import Any

from django import forms

from searchapp.models import Dataset, Image


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


class DeleteDatasetForm(forms.Form):
    """Deleting asks for the slug, so that it never happens by a slip."""

    slug = forms.CharField(
        required=False,
        widget=forms.TextInput(
            attrs={"class": "input", "autocomplete": "off", "autocapitalize": "none"}
        ),
    )

    def __init__(self, dataset: Dataset, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dataset = dataset

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if slug != self._dataset.slug:
            raise forms.ValidationError(f"Type '{self._dataset.slug}' to delete this dataset.")
        return slug


class TitleForm(forms.ModelForm[Image]):
    class Meta:
        model = Image
        fields = ["title"]
        widgets = {"title": forms.TextInput(attrs={"class": "input", "autocomplete": "off"})}
        error_messages = {
            "title": {"max_length": "This title is too long: 255 characters at most."}
        }

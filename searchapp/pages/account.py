"""Signing in and out."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import ValidationError

from searchapp.infra.client_address import client_network
from searchapp.services.throttle import PASSWORDS, PASSWORDS_OF_NAME


class ThrottledForm(AuthenticationForm):
    """Takes only so many wrong passwords, by name and address; raises `TooManyAttempts` then."""

    def clean(self) -> dict[str, Any]:
        assert self.request is not None  # noqa: S101 (the views of signing in pass it)
        network = client_network(self.request)
        name = f"{network} {self.cleaned_data.get('username', '').casefold()}"
        PASSWORDS_OF_NAME.check(name)
        PASSWORDS.check(network)
        try:
            cleaned: dict[str, Any] = super().clean()
        except ValidationError:
            PASSWORDS_OF_NAME.count(name)
            PASSWORDS.count(network)
            raise
        PASSWORDS_OF_NAME.forget(name)
        return cleaned


class SignInForm(ThrottledForm):
    error_messages = {
        "invalid_login": "This name and password do not belong together. Both are case-sensitive.",
        "inactive": "This account is switched off. Ask the administrator.",
    }

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        for field in self.fields.values():
            field.widget.attrs["class"] = "input"
        self.fields["username"].widget = forms.TextInput(
            attrs={"class": "input", "autocomplete": "username", "autocapitalize": "none"}
        )


class Login(LoginView):
    template_name = "account/login.html"
    form_class = SignInForm
    redirect_authenticated_user = True


class Logout(LogoutView):
    http_method_names = ["post", "options"]

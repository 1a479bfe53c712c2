"""Signing in and out."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView


class SignInForm(AuthenticationForm):
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

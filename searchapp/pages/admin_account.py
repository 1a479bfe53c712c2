"""Signing in to the administration. (Its site loads this before the modules of `admin/`.)"""

from unfold.forms import AuthenticationForm

from searchapp.pages.account import ThrottledForm


class AdminSignInForm(ThrottledForm, AuthenticationForm):  # type: ignore[misc]
    """Unfold's form, with the limits of the site's own."""

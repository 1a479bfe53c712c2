"""The URLs of the site."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/", include("searchapp.api.urls")),
    path("admin/", admin.site.urls),
    path("", include("searchapp.pages.urls")),
]

handler400 = "searchapp.pages.errors.bad_request"
handler403 = "searchapp.pages.errors.permission_denied"
handler404 = "searchapp.pages.errors.not_found"
handler500 = "searchapp.pages.errors.server_error"

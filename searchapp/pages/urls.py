"""Addresses of the pages."""

from django.urls import path

from searchapp.pages import (
    account,
    audits,
    credits,
    datasets,
    gallery,
    images,
    indexes,
    jobs,
    media,
    search,
)

urlpatterns = [
    path("", search.home, name="home"),
    path("search/", search.search, name="search-post"),
    path("search/<slug:token>/", search.results, name="results"),
    path("search/<slug:token>/picture.webp", media.query_picture, name="query-picture"),
    path("datasets/", datasets.dataset_list, name="datasets"),
    path("datasets/new/", datasets.new, name="dataset-new"),
    path("datasets/<slug:slug>/", gallery.gallery, name="dataset"),
    path("datasets/<slug:slug>/upload/", gallery.upload, name="dataset-upload"),
    path("datasets/<slug:slug>/settings/", datasets.change, name="dataset-settings"),
    path("datasets/<slug:slug>/delete/", datasets.delete, name="dataset-delete"),
    path("datasets/<slug:slug>/indexes/", indexes.index_list, name="dataset-indexes"),
    path("datasets/<slug:slug>/indexes/compare/", indexes.compare, name="dataset-indexes-compare"),
    path(
        "datasets/<slug:slug>/indexes/<int:pk>/<slug:action>/",
        indexes.act,
        name="dataset-index-act",
    ),
    path("audit/", audits.audit_list, name="audits"),
    path("audit/<int:pk>/", audits.detail, name="audit"),
    path("images/<int:pk>/", images.detail, name="image"),
    path("images/<int:pk>/edit/", images.edit, name="image-edit"),
    path("images/<int:pk>/delete/", images.delete, name="image-delete"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/<uuid:pk>/", jobs.detail, name="job"),
    path("credits/", credits.credit_list, name="credits"),
    path("login/", account.Login.as_view(), name="login"),
    path("logout/", account.Logout.as_view(), name="logout"),
    path("media/<int:pk>/original", media.original, name="media-original"),
    path("media/<int:pk>/<int:side>.webp", media.thumbnail, name="media-thumbnail"),
]

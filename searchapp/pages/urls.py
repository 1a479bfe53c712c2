"""Addresses of the pages."""

from django.urls import path

from searchapp.pages import (
    account,
    credits,
    datasets,
    gallery,
    images,
    imports,
    jobs,
    ledger,
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
    path("datasets/<slug:slug>/import/", imports.begin, name="dataset-import"),
    path("datasets/<slug:slug>/settings/", datasets.change, name="dataset-settings"),
    path("datasets/<slug:slug>/delete/", datasets.delete, name="dataset-delete"),
    path("images/<int:pk>/", images.detail, name="image"),
    path("images/<int:pk>/edit/", images.edit, name="image-edit"),
    path("images/<int:pk>/delete/", images.delete, name="image-delete"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/<uuid:pk>/", jobs.detail, name="job"),
    path("jobs/<uuid:pk>/items/", ledger.items, name="job-items"),
    path("jobs/<uuid:pk>/ledger.csv", ledger.as_csv, name="job-ledger"),
    path("jobs/<uuid:pk>/<slug:action>/", jobs.act, name="job-act"),
    path("credits/", credits.credit_list, name="credits"),
    path("login/", account.Login.as_view(), name="login"),
    path("logout/", account.Logout.as_view(), name="logout"),
    path("media/<int:pk>/original", media.original, name="media-original"),
    path("media/<int:pk>/<int:side>.webp", media.thumbnail, name="media-thumbnail"),
]

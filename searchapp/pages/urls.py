"""URL patterns of the pages."""

from django.urls import path

from searchapp.pages import account, audits, credits, well_known
from searchapp.pages.compare import compare_views
from searchapp.pages.datasets import dataset_list, dataset_settings, gallery, indexes
from searchapp.pages.images import bulk_actions, image_detail, media
from searchapp.pages.imports import import_form, jobs, ledger
from searchapp.pages.search import search_views

urlpatterns = [
    path("", search_views.home, name="home"),
    path("search/", search_views.search, name="search-post"),
    path("search/<slug:token>/", search_views.results, name="results"),
    path("search/<slug:token>/regions/", search_views.query_regions, name="query-regions"),
    path("search/<slug:token>/picture.webp", media.query_picture, name="query-picture"),
    path("compare/", compare_views.compare, name="compare"),
    path("compare/why.json", compare_views.why, name="compare-why"),
    path("compare/<slug:side>.webp", compare_views.heat, name="compare-heat"),
    path("datasets/", dataset_list.dataset_list, name="datasets"),
    path("datasets/new/", dataset_list.new, name="dataset-new"),
    path("datasets/<slug:slug>/", gallery.gallery, name="dataset"),
    path("datasets/<slug:slug>/import/", import_form.begin, name="dataset-import"),
    path("datasets/<slug:slug>/bulk/", bulk_actions.bulk, name="dataset-bulk"),
    path("datasets/<slug:slug>/undo/", bulk_actions.undo, name="dataset-undo"),
    path("datasets/<slug:slug>/settings/", dataset_settings.settings, name="dataset-settings"),
    path("datasets/<slug:slug>/members/add/", dataset_settings.member_add, name="member-add"),
    path(
        "datasets/<slug:slug>/members/change/", dataset_settings.member_change, name="member-change"
    ),
    path("datasets/<slug:slug>/leave/", dataset_settings.leave, name="dataset-leave"),
    path("datasets/<slug:slug>/copy/", dataset_settings.copy, name="dataset-copy"),
    path("datasets/<slug:slug>/delete/", dataset_settings.delete, name="dataset-delete"),
    path("deleted/", dataset_settings.deleted, name="datasets-deleted"),
    path("deleted/<int:pk>/restore/", dataset_settings.restore, name="dataset-restore"),
    path("datasets/<slug:slug>/indexes/", indexes.index_list, name="dataset-indexes"),
    path("datasets/<slug:slug>/indexes/compare/", indexes.compare, name="dataset-indexes-compare"),
    path(
        "datasets/<slug:slug>/indexes/<int:pk>/<slug:action>/",
        indexes.act,
        name="dataset-index-act",
    ),
    path("audit/", audits.audit_list, name="audits"),
    path("audit/<int:pk>/", audits.detail, name="audit"),
    path("images/<int:pk>/", image_detail.detail, name="image"),
    path("images/<int:pk>/regions/", search_views.image_regions, name="image-regions"),
    path("images/<int:pk>/edit/", image_detail.edit, name="image-edit"),
    path("images/<int:pk>/delete/", image_detail.delete, name="image-delete"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/<uuid:pk>/", jobs.detail, name="job"),
    path("jobs/<uuid:pk>/items/", ledger.items, name="job-items"),
    path("jobs/<uuid:pk>/ledger.csv", ledger.as_csv, name="job-ledger"),
    path("jobs/<uuid:pk>/<slug:action>/", jobs.act, name="job-act"),
    path("credits/", credits.credit_list, name="credits"),
    path("login/", account.Login.as_view(), name="login"),
    path("logout/", account.Logout.as_view(), name="logout"),
    path("robots.txt", well_known.robots, name="robots-txt"),
    path("favicon.ico", well_known.favicon, name="favicon"),
    path(".well-known/security.txt", well_known.security, name="security-txt"),
    path("media/<int:pk>/original", media.original, name="media-original"),
    path("media/<int:pk>/<int:side>.webp", media.thumbnail, name="media-thumbnail"),
]

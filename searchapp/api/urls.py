"""Addresses of the API."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from searchapp.api import (
    audits,
    comparing,
    facets,
    imports,
    indexes,
    managing,
    search,
    uploads,
    views,
)

urlpatterns = [
    path("v1/datasets/", views.DatasetList.as_view(), name="api-datasets"),
    path("v1/datasets/<slug:slug>/", views.DatasetDetail.as_view(), name="api-dataset"),
    path("v1/datasets/<slug:slug>/images/", views.DatasetImages.as_view(), name="api-images"),
    path("v1/datasets/<slug:slug>/bulk/", managing.Bulk.as_view(), name="api-bulk"),
    path("v1/datasets/<slug:slug>/copy/", managing.Copy.as_view(), name="api-copy"),
    path("v1/datasets/<slug:slug>/restore/", managing.Restore.as_view(), name="api-restore"),
    path("v1/datasets/<slug:slug>/transfer/", managing.Transfer.as_view(), name="api-transfer"),
    path("v1/datasets/<slug:slug>/members/", managing.Members.as_view(), name="api-members"),
    path(
        "v1/datasets/<slug:slug>/members/<str:username>/",
        managing.MemberDetail.as_view(),
        name="api-member",
    ),
    path("v1/images/<int:pk>/restore/", managing.RestoreImage.as_view(), name="api-image-restore"),
    path("v1/images/<int:pk>/", views.ImageDetail.as_view(), name="api-image"),
    path("v1/uploads/", uploads.UploadList.as_view(), name="api-uploads"),
    path("v1/uploads/<uuid:pk>/", uploads.UploadDetail.as_view(), name="api-upload"),
    path("v1/datasets/<slug:slug>/indexes/", indexes.IndexList.as_view(), name="api-indexes"),
    path(
        "v1/datasets/<slug:slug>/indexes/rollback/",
        indexes.Rollback.as_view(),
        name="api-index-rollback",
    ),
    path("v1/indexes/<int:pk>/", indexes.IndexDetail.as_view(), name="api-index"),
    path("v1/indexes/<int:pk>/activate/", indexes.Activate.as_view(), name="api-index-activate"),
    path("v1/indexes/<int:pk>/retire/", indexes.Retire.as_view(), name="api-index-retire"),
    path("v1/indexes/<int:pk>/retry/", indexes.Retry.as_view(), name="api-index-retry"),
    path("v1/indexes/<int:pk>/compare/", indexes.Compare.as_view(), name="api-index-compare"),
    path("v1/pipelines/", indexes.PipelineList.as_view(), name="api-pipelines"),
    path("v1/audits/", audits.AuditList.as_view(), name="api-audits"),
    path("v1/audits/<int:pk>/", audits.AuditDetail.as_view(), name="api-audit"),
    path("v1/datasets/<slug:slug>/imports/", imports.DatasetImports.as_view(), name="api-imports"),
    path("v1/jobs/", imports.JobList.as_view(), name="api-jobs"),
    path("v1/jobs/<uuid:pk>/", imports.JobDetail.as_view(), name="api-job"),
    path("v1/jobs/<uuid:pk>/items/", imports.JobItems.as_view(), name="api-job-items"),
    path("v1/jobs/<uuid:pk>/ledger.csv", imports.JobLedger.as_view(), name="api-job-ledger"),
    *(
        path(
            f"v1/jobs/<uuid:pk>/{action}/",
            imports.JobAction.as_view(action=action),
            name=f"api-job-{action}",
        )
        for action in ("pause", "resume", "cancel", "retry", "close")
    ),
    path("v1/facets/", facets.Facets.as_view(), name="api-facets"),
    path("v1/compare/", comparing.Compare.as_view(), name="api-compare"),
    path("v1/search/", search.Search.as_view(), name="api-search"),
    path("v1/regions/", search.Regions.as_view(), name="api-regions"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-docs"),
]

"""Addresses of the API."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from searchapp.api import audits, compare, datasets, facets, imports, indexes, management, search
from searchapp.api.uploads import upload_views

urlpatterns = [
    path("v1/datasets/", datasets.DatasetList.as_view(), name="api-datasets"),
    path("v1/datasets/<slug:slug>/", datasets.DatasetDetail.as_view(), name="api-dataset"),
    path("v1/datasets/<slug:slug>/images/", datasets.DatasetImages.as_view(), name="api-images"),
    path("v1/datasets/<slug:slug>/bulk/", management.Bulk.as_view(), name="api-bulk"),
    path("v1/datasets/<slug:slug>/copy/", management.Copy.as_view(), name="api-copy"),
    path("v1/datasets/<slug:slug>/restore/", management.Restore.as_view(), name="api-restore"),
    path("v1/datasets/<slug:slug>/transfer/", management.Transfer.as_view(), name="api-transfer"),
    path("v1/datasets/<slug:slug>/members/", management.Members.as_view(), name="api-members"),
    path(
        "v1/datasets/<slug:slug>/members/<str:username>/",
        management.MemberDetail.as_view(),
        name="api-member",
    ),
    path(
        "v1/images/<int:pk>/restore/", management.RestoreImage.as_view(), name="api-image-restore"
    ),
    path("v1/images/<int:pk>/", datasets.ImageDetail.as_view(), name="api-image"),
    path("v1/uploads/", upload_views.UploadList.as_view(), name="api-uploads"),
    path("v1/uploads/<uuid:pk>/", upload_views.UploadDetail.as_view(), name="api-upload"),
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
    path("v1/compare/", compare.Compare.as_view(), name="api-compare"),
    path("v1/search/", search.Search.as_view(), name="api-search"),
    path("v1/regions/", search.Regions.as_view(), name="api-regions"),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("docs/", SpectacularSwaggerView.as_view(url_name="api-schema"), name="api-docs"),
]

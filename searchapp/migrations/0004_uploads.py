from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("searchapp", "0003_end_old_jobs")]
    operations = [
        migrations.AlterField(
            "partialupload",
            "given",
            models.JSONField(blank=True, default=dict, help_text="what its sender says of it"),
        ),
        migrations.AddIndex(
            "partialupload",
            models.Index(fields=["created"], condition=Q(done=None), name="upload_unfinished"),
        ),
        migrations.AddIndex("partialupload", models.Index(fields=["done"], name="upload_done")),
        migrations.RemoveIndex("importitem", "item_codes"),
        migrations.AddIndex(
            "importitem",
            models.Index(
                fields=["job", "error_code", "position"],
                condition=~Q(error_code=""),
                name="item_codes",
            ),
        ),
    ]

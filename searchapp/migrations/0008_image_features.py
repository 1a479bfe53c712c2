from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("searchapp", "0007_calibration")]

    operations = [
        migrations.AddField(
            model_name="image",
            name="features",
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                condition=models.Q(
                    ("features__lte", 0),
                    ("state", "ready"),
                    models.Q(("features", -1), _negated=True),
                ),
                fields=["features", "id"],
                name="image_unfeatured",
            ),
        ),
    ]

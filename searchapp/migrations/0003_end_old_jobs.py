from django.db import migrations, models


def end_old_jobs(apps, schema_editor):
    """Jobs of before there were states: those whose files all have an outcome are over."""
    job_model = apps.get_model("searchapp", "ImportJob")
    item_model = apps.get_model("searchapp", "ImportItem")
    of_job = item_model.objects.filter(job=models.OuterRef("pk"))
    pending = of_job.filter(state__in=["received", "processing"])
    bad = of_job.filter(state__in=["rejected", "failed"])
    over = job_model.objects.exclude(models.Exists(pending))
    over.filter(models.Exists(bad)).update(state="finished_with_errors", ended=models.F("created"))
    over.exclude(models.Exists(bad)).update(state="finished", ended=models.F("created"))


class Migration(migrations.Migration):
    dependencies = [("searchapp", "0002_datasets")]
    operations = [migrations.RunPython(end_old_jobs, migrations.RunPython.noop)]

"""Calibrations of the scores of an index."""

from __future__ import annotations

from django.db import models

from searchapp.models.index import Index


class Calibration(models.Model):
    """The distribution of similarity scores in one index, from a sample, to interpret its scores.

    It is derived data: it is computed again when the dataset has grown, and searches work without
    it until then.
    """

    index = models.OneToOneField(Index, on_delete=models.CASCADE, related_name="calibration")
    version = models.PositiveSmallIntegerField(help_text="of how it is made")
    images = models.PositiveIntegerField(help_text="that were ready at that time")
    sampled = models.PositiveIntegerField(help_text="pictures")
    pairs = models.PositiveIntegerField(help_text="of sampled pictures, at random")
    # A search sets its threshold between `lower` and `upper`, and to `usual` if it finds no gap.
    lower = models.FloatField()
    usual = models.FloatField()
    upper = models.FloatField()
    # Histograms of scores, with bins of equal width from -1 to 1: of random pairs, and of each
    # sampled image with its nearest neighbor.
    random_counts = models.JSONField()
    nearest_counts = models.JSONField()
    quantiles = models.JSONField(help_text='{"random": {"0.5": score, …}, "nearest": {…}}')
    made = models.DateTimeField()

    class Meta:
        ordering = ["-made"]

    def __str__(self) -> str:
        return f"calibration of {self.index}"

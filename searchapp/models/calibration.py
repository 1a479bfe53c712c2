"""Calibrations: what scores mean in an index."""

from __future__ import annotations

from django.db import models

from searchapp.models.index import Index


class Calibration(models.Model):
    """How alike the pictures of one index are, by a sample: what its scores are held against.

    Derived: it is made again when the dataset has grown, and searches do without it until then.
    """

    index = models.OneToOneField(Index, on_delete=models.CASCADE, related_name="calibration")
    version = models.PositiveSmallIntegerField(help_text="of how it is made")
    images = models.PositiveIntegerField(help_text="that were ready at that time")
    sampled = models.PositiveIntegerField(help_text="pictures")
    pairs = models.PositiveIntegerField(help_text="of sampled pictures, at random")
    # A search draws its line between `lower` and `upper`, and at `usual` where it sees no gap.
    lower = models.FloatField()
    usual = models.FloatField()
    upper = models.FloatField()
    # How many scores fall into each of equal steps from -1 to 1: of random pairs, and of each
    # sampled picture with the one that is most like it.
    random_counts = models.JSONField()
    nearest_counts = models.JSONField()
    quantiles = models.JSONField(help_text='{"random": {"0.5": score, …}, "nearest": {…}}')
    made = models.DateTimeField()

    class Meta:
        ordering = ["-made"]

    def __str__(self) -> str:
        return f"calibration of {self.index}"

"""How many examples a property is tried with: Hypothesis's profiles for the two tiers."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_USUAL = 100  # examples of a property in `make test`; `make test-long` tries ten times as many

# How long an example takes says nothing on a machine that does much else.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("tests", _ANY_SPEED, max_examples=_USUAL)
settings.register_profile("long", _ANY_SPEED, max_examples=10 * _USUAL)
settings.load_profile("tests")


def examples(number: int) -> int:
    """Return how many examples to try in this run where `make test` tries `number`."""
    return number * settings().max_examples // _USUAL

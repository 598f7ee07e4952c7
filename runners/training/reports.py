"""Packages that training reports its metrics to (`report_to`)."""

from importlib.util import find_spec

from dsl.errors import DataError
from dsl.steps.training_settings import Training


def check_reported(training: Training) -> None:
    """Check that the package which a training reports to is installed. Raises DataError."""
    if training.report_to is not None and find_spec(training.report_to) is None:
        raise DataError(
            f"`report_to: {training.report_to}` needs the package {training.report_to}: pip install"
            f" {training.report_to}. Or leave it out: the metrics are in the store all the same"
        )

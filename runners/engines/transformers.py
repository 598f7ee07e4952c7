"""`transformers`: weights loaded on this machine. Its settings are `dsl.models.Weights`."""

from dsl.models import Weights as Settings

__all__ = ["Settings"]

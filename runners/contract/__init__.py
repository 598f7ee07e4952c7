"""Prompt contract: prompts and training rows as a model reads them, checked before a study runs.

Only tokenizers and configurations are loaded, no weights. Findings are kept in the store by the digest of
what they are of, so that a plan can list them.
"""

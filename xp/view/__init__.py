"""A study in the browser while it runs, served from its store to this machine alone.

It writes nothing: pages come from the warehouse, which each request opens and closes, and progress from the
files that `xp apply` leaves in the store.
"""

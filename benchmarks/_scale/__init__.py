"""A made-up study of any size, for what is measured at scale: its shape, its rows as SQL makes them, and its
files as runners leave them."""

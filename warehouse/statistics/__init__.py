"""Standard errors, tests, bounds, trends, strengths and power of a study.

`macros.sql` has the functions that views compute with.


The modules beside this one are functions from numpy arrays to values and know no database; `refresh` applies
them to a loaded study and stores what they find, so that SQL sees it. The unit is the source item everywhere:
its translations and repetitions are one cluster.
"""

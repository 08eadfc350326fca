"""The database's versions, one file a step; :func:`serving.migrate.migrate` runs them.

A new step is written by hand: a test compares what the steps make with the tables of the code and shows what is missing. A step that was
released is never edited.
"""

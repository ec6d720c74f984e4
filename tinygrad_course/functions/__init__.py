"""Functions made of the table's rows, one family a file: plain compositions, no derivative here.

A function that needs a rule of its own, for stability or speed, is a row and lives in `ops`; so do
the functions that bring arguments into the form that a row takes (`sum` for `sum_over`).
"""

"""What a history of values and returns says of a portfolio: for people, not for decisions, hence in floats.

CONVENTIONS, everywhere in this package: series are oldest first, of equally long steps; a figure that does not exist
(the correlation of a constant, a Sharpe ratio without deviation) is None, never NaN and never 0. Needs numpy only.
"""

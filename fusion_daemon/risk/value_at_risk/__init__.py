"""Value at risk and expected shortfall of a portfolio, and the tests of such figures against what came.

CONVENTIONS, everywhere in this package: a loss is minus a return, so that VaR and ES are positive fractions of the
portfolio's value when money is lost. A level (0.99) is an exact rational and its tail probability, written a, is
1 - level: no count of days is ever decided by a binary float. Needs numpy and nothing else.
"""

"""What a position is worth when the world is another one: the same rules, at other prices or without some of its legs.

CONVENTIONS, everywhere in this package: a move is an exact fraction of the present price, above -1. A shocked price is
an integer in the decimals of its quote, rounded against the account leg by leg (collateral down, debt up), so that the
health factor under a scenario is never above the one at the exact prices.
"""

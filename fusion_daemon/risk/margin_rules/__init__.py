"""What a position is worth under the rules of the protocol that holds it, to the last unit.

CONVENTIONS, everywhere in this package: integers end to end. A base amount is USD x 1e8, a health factor a wad (1e18)
and the largest uint256 without debt, a threshold basis points. Every leg is rounded on its own before summing, as its
protocol does. An account may be liquidated if and only if its health factor is below 1e18; every rounding of a health
factor here is such that this says exactly what the protocol says.
"""

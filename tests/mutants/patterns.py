"""All bug patterns. A new one is one entry in one of these tables.

It says the file below operator/perennial, a text that is there exactly once, what a careless hand would have written
instead, and the tests that must see it, quick ones first.
"""

from tests.mutants import engine, kinds, pods

MUTANTS = (*engine.MUTANTS, *kinds.MUTANTS, *pods.MUTANTS)

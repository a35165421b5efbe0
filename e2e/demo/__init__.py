"""The demo: the whole loop on real data, on a cluster of its own."""

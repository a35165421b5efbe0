"""The engine: cache, queue, workers, lease and resync. It knows no kind."""

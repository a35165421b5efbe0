"""The endpoint that takes reported metrics: authenticated, bounded, durable when acknowledged. On every replica."""

"""What is known of reported metrics: samples folded into buckets, and windows summed up. Pure."""

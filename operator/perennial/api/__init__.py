"""The kinds of perennial.dev/v1alpha1 as typed models, and the words that the whole of Perennial shares."""

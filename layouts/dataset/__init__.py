"""Products of Jacobians over a whole data set, in batches: `layouts.gram`."""

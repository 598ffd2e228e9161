"""Every test runs in float64, with implicit rank promotion an error."""

import hypothesis
import jax

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

# The first example of a test compiles, so that a time limit for each would measure the machine.
hypothesis.settings.register_profile("layouts", deadline=None, derandomize=True)
hypothesis.settings.load_profile("layouts")

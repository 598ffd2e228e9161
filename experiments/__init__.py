"""One script per question. `python -m experiments` runs them all.

The claims are about exact identities, so the experiments compute in float64.
"""

import jax

jax.config.update("jax_enable_x64", True)

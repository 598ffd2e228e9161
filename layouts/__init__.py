"""A Jacobian is a labelled tensor, and a sum of terms: deltas times factors.

Take `D = W X`, that is `D[i,j] = Σ_a W[i,a] X[a,j]`. Row k of W touches row k of D alone, so

    dD[i,j]/dW[k,l] = δ[i,k] X[l,j]        dD[i,j]/dX[k,l] = δ[j,l] W[i,k]

Three questions have their answer here.

*Why a transpose and no inverse?* The Jacobian carries a change of W to a change of D. A gradient
travels the other way, so it meets the same numbers summed over the other axes:
`∂L/∂W[k,l] = Σ_ij ∂L/∂D[i,j] δ[i,k] X[l,j] = Σ_j ∂L/∂D[k,j] X[l,j]`, which reads `∂L/∂D Xᵀ`.
Nothing was solved for, so nothing was inverted.

*Which layout?* A layout is the order in which the axes are written down. With the rows of W and D
stacked the matrix is `I ⊗ Xᵀ`, with their columns stacked `Xᵀ ⊗ I`, and the denominator
layout is the transpose of either: `(C B A)ᵀ = Aᵀ Bᵀ Cᵀ`, the same entries in reversed order.

*At what cost?* Chaining two Jacobians sums over the axes between them. A delta makes an axis free,
and the order of the products decides the rest; from a scalar's end every product is a vector.

    >>> import jax.numpy as jnp, layouts
    >>> W, X = jnp.ones((4, 3)), jnp.ones((3, 5))
    >>> J = layouts.jacobian(lambda W, X: W @ X, structured=True)(W, X)
    >>> print(J)
    dD[i,j]/dW[k,l] = δ[i,k] X[l,j]
    >>> print(J.kronecker(vec="rows"), "or", J.kronecker(vec="columns"))
    I₄ ⊗ Xᵀ or Xᵀ ⊗ I₄
    >>> derivation = layouts.derive(lambda W, X: W @ X)(W, X)  # print it: every step by hand
    >>> print(derivation.of("matrix")[0])
    ∂L/∂W = ∂L/∂D Xᵀ
    >>> cotangent = jnp.ones((4, 5))
    >>> bool(jnp.allclose(J.vjp(cotangent), cotangent @ X.T))
    True
    >>> J.dense().nbytes // J.nbytes
    16
"""

from layouts import chains
from layouts.conventions import TEXTBOOKS, Convention, Layout, arrange, chain, convert, read
from layouts.costs import CostReport, cost
from layouts.dataset.accumulating import gram
from layouts.derivation import Derivation, derive
from layouts.doctor import Diagnosis, Finding, diagnose, diagnose_vjp, from_torch
from layouts.errors import LayoutError
from layouts.explorer.notebook import explore
from layouts.formulas.parsing import parse
from layouts.identify import identify
from layouts.jacobian import Jacobian
from layouts.plan import Plan
from layouts.program import Cost
from layouts.streaming import Block, Stream, stream
from layouts.transforms import hessian, jacobian

__version__ = "0.1.0"

__all__ = [
    "TEXTBOOKS",
    "Block",
    "Convention",
    "Cost",
    "CostReport",
    "Derivation",
    "Diagnosis",
    "Finding",
    "Jacobian",
    "Layout",
    "LayoutError",
    "Plan",
    "Stream",
    "arrange",
    "chain",
    "chains",
    "convert",
    "cost",
    "derive",
    "diagnose",
    "diagnose_vjp",
    "explore",
    "from_torch",
    "gram",
    "hessian",
    "identify",
    "jacobian",
    "parse",
    "read",
    "stream",
]

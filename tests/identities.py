"""Derivatives as textbooks have them, each in the layout that its source prints it in.

A row of the table is a function in JAX, the sizes of its arguments (it is differentiated by the
first; `+`: all are positive), the layout and the source; below it the source's formula, and what
`layouts.derive` prints in the same layout.

`columns` is the numerator layout with matrices stacked by columns: vec(A X B) = (Bᵀ ⊗ A) vec(X),
and K(m,n) vec(A) = vec(Aᵀ) for an m×n matrix A. A name such as z1, v or D is the derivation's own.
Wikipedia's are the tables of "Matrix calculus"; the numbers are equations of the Matrix Cookbook
of November 2012; Magnus and Neudecker's are in chapters 9 and 10 of Matrix Differential Calculus.
What has no source is folklore.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from layouts.conventions import TEXTBOOKS, Convention
from layouts.nodes import Shape

TABLE = """
# Scalars by vectors
a @ x  |  x=5 a=5  |  numerator  |  Wikipedia
    aᵀ
    aᵀ
x @ a  |  x=5 a=5  |  denominator  |  Cookbook 69
    a
    a
b @ A @ x  |  x=5 A=3x5 b=3  |  numerator  |  Wikipedia
    bᵀ A
    bᵀ A
x @ x  |  x=5  |  numerator  |  Wikipedia
    2 xᵀ
    2 xᵀ
x @ A @ x  |  x=5 A=5x5  |  numerator  |  Wikipedia
    xᵀ (A + Aᵀ)
    xᵀ (A + Aᵀ)
x @ A @ x + b @ x  |  x=5 A=5x5 b=5  |  denominator  |  Cookbook 97
    (A + Aᵀ) x + b
    b + (A + Aᵀ) x
1 / 2 * (x @ A @ x) - b @ x  |  x=5 A=5x5 b=5  |  denominator  |  folklore
    1/2 (A + Aᵀ) x - b
    1/2 (A + Aᵀ) x - b
(a @ x) * (x @ b)  |  x=5 a=5 b=5  |  denominator  |  Wikipedia
    (a bᵀ + b aᵀ) x
    (aᵀ x) b + (bᵀ x) a
(A @ x + b) @ C @ (D @ x + e)  |  x=5 A=3x5 b=3 C=3x2 D=2x5 e=2  |  numerator  |  Wikipedia
    (D x + e)ᵀ Cᵀ A + (A x + b)ᵀ C D
    (A x + b)ᵀ C D + (D x + e)ᵀ Cᵀ A
norm(x)  |  x=5  |  denominator  |  folklore
    x / ‖x‖
    x / ‖x‖
norm(x - a)  |  x=5 a=5  |  numerator  |  Wikipedia
    (x - a)ᵀ / ‖x - a‖
    (x - a)ᵀ / ‖x - a‖
norm(x) ** 2  |  x=5  |  denominator  |  Cookbook 131
    2 x
    2 x
sum((A @ x - b) ** 2)  |  x=5 A=3x5 b=3  |  denominator  |  folklore
    2 Aᵀ (A x - b)
    2 Aᵀ (A x - b)
norm(A @ x - b)  |  x=5 A=3x5 b=3  |  denominator  |  folklore
    Aᵀ (A x - b) / ‖A x - b‖
    Aᵀ u / ‖u‖
1 / 2 * sum((X @ w - y) ** 2)  |  w=3 X=7x3 y=7  |  denominator  |  folklore
    Xᵀ (X w - y)
    Xᵀ (X w - y)
sum((X @ w - y) ** 2) + c * sum(w**2)  |  w=3 X=7x3 y=7 c  |  denominator  |  folklore
    2 Xᵀ (X w - y) + 2 c w
    2 c w + 2 Xᵀ (X w - y)
(a @ x) ** 2  |  x=5 a=5  |  denominator  |  folklore
    2 (aᵀ x) a
    2 (aᵀ x) a
log(a @ x)  |  x=5 a=5 +  |  denominator  |  folklore
    a / (aᵀ x)
    a / (aᵀ x)
logsumexp(z)  |  z=5  |  denominator  |  folklore
    softmax(z)
    softmax(z)
sum(softplus(-y * (X @ w)))  |  w=3 X=7x3 y=7  |  denominator  |  folklore
    -Xᵀ (y ⊙ σ(-y ⊙ (X w)))
    -Xᵀ (y ⊙ σ(z1))
-(y @ log_softmax(z))  |  z=5 y=5  |  denominator  |  folklore
    sum(y) softmax(z) - y
    sum(y) softmax(z) - y
exp(-sum((x - mu) ** 2) / 2)  |  x=5 mu=5  |  denominator  |  folklore
    -exp(-1/2 ‖x - mu‖²) (x - mu)
    -exp(-1/2 sum((x - mu)²)) (x - mu)
u @ v / (norm(u) * norm(v))  |  u=5 v=5  |  denominator  |  folklore
    v / (‖u‖ ‖v‖) - (uᵀ v) u / (‖u‖³ ‖v‖)
    v / (‖u‖ ‖v‖) - (uᵀ v) u / (‖u‖³ ‖v‖)
(A @ x) @ (B @ x)  |  x=5 A=3x5 B=3x5  |  numerator  |  folklore
    xᵀ (Aᵀ B + Bᵀ A)
    xᵀ (Aᵀ B + Bᵀ A)
(x @ A @ x) / (x @ x)  |  x=5 A=5x5  |  denominator  |  folklore
    (A + Aᵀ) x / (xᵀ x) - 2 (xᵀ A x) x / (xᵀ x)²
    (A + Aᵀ) x / (xᵀ x) - 2 (xᵀ A x) x / (xᵀ x)²
sum(x)  |  x=5  |  numerator  |  folklore
    𝟏₅ᵀ
    𝟏₅ᵀ
-sum(p * log(p))  |  p=5 +  |  denominator  |  folklore
    -log(p) - 𝟏₅
    -(log(p) + 1)

# Scalars by matrices
a @ X @ b  |  X=3x5 a=3 b=5  |  numerator  |  Wikipedia
    b aᵀ
    b aᵀ
a @ X.T @ b  |  X=5x3 a=3 b=5  |  denominator  |  Cookbook 71
    b aᵀ
    b aᵀ
a @ X.T @ X @ b  |  X=3x5 a=5 b=5  |  denominator  |  Cookbook 77
    X (a bᵀ + b aᵀ)
    X (a bᵀ + b aᵀ)
a @ X.T @ C @ X @ b  |  X=3x5 a=5 b=5 C=3x3  |  denominator  |  Cookbook 82
    Cᵀ X a bᵀ + C X b aᵀ
    Cᵀ X a bᵀ + C X b aᵀ
(X @ a + b) @ C @ (X @ a + b)  |  X=3x5 a=5 b=3 C=3x3  |  denominator  |  Wikipedia
    (C + Cᵀ) (X a + b) aᵀ
    (C + Cᵀ) v aᵀ
tr(X)  |  X=5x5  |  numerator  |  Wikipedia
    I₅
    I₅
tr(A @ X)  |  X=3x5 A=5x3  |  numerator  |  Wikipedia
    A
    A
tr(A @ X.T)  |  X=3x5 A=3x5  |  denominator  |  Cookbook 104
    A
    A
tr(X.T @ A)  |  X=3x5 A=3x5  |  denominator  |  Cookbook 103
    A
    A
tr(A @ X @ B)  |  X=3x5 A=7x3 B=5x7  |  numerator  |  Wikipedia
    B A
    B A
tr(A @ X.T @ B)  |  X=3x5 A=7x5 B=3x7  |  denominator  |  Cookbook 102
    B A
    B A
tr(X.T @ A @ X)  |  X=3x5 A=3x3  |  numerator  |  Wikipedia
    Xᵀ (A + Aᵀ)
    Xᵀ (A + Aᵀ)
tr(X.T @ X)  |  X=3x5  |  denominator  |  Cookbook 115
    2 X
    2 X
tr(X @ B @ X.T)  |  X=3x5 B=5x5  |  denominator  |  Cookbook 111
    X Bᵀ + X B
    X (B + Bᵀ)
tr(A @ X @ B @ X)  |  X=3x5 A=5x3 B=5x3  |  numerator  |  Wikipedia
    A X B + B X A
    A X B + B X A
tr(A @ X @ B @ X.T @ C)  |  X=3x5 A=2x3 B=5x5 C=3x2  |  numerator  |  Wikipedia
    B Xᵀ C A + Bᵀ Xᵀ Aᵀ Cᵀ
    Bᵀ Xᵀ Aᵀ Cᵀ + B Xᵀ C A
tr((A @ X @ B + C) @ (A @ X @ B + C).T)  |  X=3x5 A=7x3 B=5x2 C=7x2  |  denominator  |  Cookbook 119
    2 Aᵀ (A X B + C) Bᵀ
    2 Aᵀ E Bᵀ
tr(X @ X)  |  X=5x5  |  denominator  |  Cookbook 106
    2 Xᵀ
    2 Xᵀ
tr(X @ X @ X)  |  X=5x5  |  denominator  |  Cookbook 121
    3 (X X)ᵀ
    3 Xᵀ Xᵀ
tr(inv(X))  |  X=5x5  |  numerator  |  folklore
    -X⁻¹ X⁻¹
    -X⁻¹ X⁻¹
tr(A @ inv(X) @ B)  |  X=5x5 A=3x5 B=5x3  |  denominator  |  Cookbook 63
    -(X⁻¹ B A X⁻¹)ᵀ
    -X⁻ᵀ Aᵀ Bᵀ X⁻ᵀ
a @ inv(X) @ b  |  X=5x5 a=5 b=5  |  denominator  |  Cookbook 61
    -X⁻ᵀ a bᵀ X⁻ᵀ
    -X⁻ᵀ a bᵀ X⁻ᵀ
logdet(X)  |  X=5x5  |  numerator  |  Wikipedia
    X⁻¹
    X⁻¹
det(X)  |  X=5x5  |  denominator  |  Cookbook 49
    det(X) (X⁻¹)ᵀ
    det(X) X⁻ᵀ
logdet(X.T @ X)  |  X=5x3  |  numerator  |  Wikipedia
    2 (Xᵀ X)⁻¹ Xᵀ
    2 A Xᵀ
det(X.T @ A @ X)  |  X=5x3 A=5x5  |  denominator  |  Cookbook 54
    det(Xᵀ A X) (A X (Xᵀ A X)⁻¹ + Aᵀ X (Xᵀ Aᵀ X)⁻¹)
    d (Aᵀ X Bᵀ + A X B)
sum(X**2)  |  X=3x5  |  denominator  |  Cookbook 132
    2 X
    2 X
norm(X)  |  X=3x5  |  denominator  |  folklore
    X / ‖X‖
    X / ‖X‖
sum((W @ x - y) ** 2)  |  W=3x5 x=5 y=3  |  denominator  |  folklore
    2 (W x - y) xᵀ
    2 (W x - y) xᵀ
a @ tanh(W @ x)  |  W=3x5 a=3 x=5  |  denominator  |  folklore
    (a ⊙ (1 - tanh(W x)²)) xᵀ
    (a ⊙ tanh′(z1)) xᵀ

# By scalars
A @ (a + t * b)  |  t A=3x5 a=5 b=5  |  numerator  |  folklore
    A b
    A b
cos(t) * a + sin(t) * b  |  t a=5 b=5  |  numerator  |  folklore
    cos(t) b - sin(t) a
    cos(t) b - sin(t) a
(A + t * B) @ C  |  t A=3x5 B=3x5 C=5x2  |  numerator  |  Wikipedia
    B C
    B C
outer(a + t * b, c)  |  t a=3 b=3 c=5  |  numerator  |  folklore
    b cᵀ
    b cᵀ
inv(A + t * B)  |  t A=5x5 B=5x5  |  numerator  |  Wikipedia
    -(A + t B)⁻¹ B (A + t B)⁻¹
    -D B D
logdet(A + t * B)  |  t A=5x5 B=5x5  |  numerator  |  Wikipedia
    tr((A + t B)⁻¹ B)
    tr(B (A + t B)⁻¹)

# Vectors by vectors
x  |  x=5  |  numerator  |  Wikipedia
    I₅
    I₅
A @ x  |  x=5 A=3x5  |  numerator  |  Wikipedia
    A
    A
x @ A  |  x=3 A=3x5  |  denominator  |  Wikipedia
    A
    A
A.T @ x  |  x=3 A=3x5  |  numerator  |  folklore
    Aᵀ
    Aᵀ
a * x  |  x=5 a=5  |  numerator  |  folklore
    diag(a)
    diag(a)
x * x  |  x=5  |  numerator  |  folklore
    2 diag(x)
    2 diag(x)
(a @ x) * b  |  x=5 a=5 b=3  |  numerator  |  folklore
    b aᵀ
    b aᵀ
(a @ x) * x  |  x=5 a=5  |  numerator  |  folklore
    (aᵀ x) I₅ + x aᵀ
    (aᵀ x) I₅ + x aᵀ
softmax(z)  |  z=5  |  numerator  |  folklore
    diag(softmax(z)) - softmax(z) softmax(z)ᵀ
    diag(D) - D Dᵀ
log_softmax(z)  |  z=5  |  numerator  |  folklore
    I₅ - 𝟏₅ softmax(z)ᵀ
    I₅ - 𝟏₅ softmax(z)ᵀ
sigmoid(W @ x + b)  |  x=5 W=3x5 b=3  |  denominator  |  folklore
    Wᵀ diag(σ(W x + b) ⊙ (1 - σ(W x + b)))
    Wᵀ diag(σ′(z1))
sigmoid(W @ x + b)  |  b=3 W=3x5 x=5  |  numerator  |  folklore
    diag(σ(W x + b) ⊙ (1 - σ(W x + b)))
    diag(σ′(z1))
relu(W @ x + b)  |  x=5 W=3x5 b=3  |  numerator  |  folklore
    diag(1[W x + b > 0]) W
    diag(relu′(z1)) W
tanh(x)  |  x=5  |  numerator  |  folklore
    diag(1 - tanh(x)²)
    diag(tanh′(x))
exp(x)  |  x=5  |  numerator  |  folklore
    diag(exp(x))
    diag(D)
U @ tanh(W @ x)  |  x=5 U=2x3 W=3x5  |  numerator  |  folklore
    U diag(1 - tanh(W x)²) W
    U diag(tanh′(z1)) W
x / norm(x)  |  x=5  |  numerator  |  folklore
    I₅ / ‖x‖ - x xᵀ / ‖x‖³
    I₅ / ‖x‖ - x xᵀ / ‖x‖³
(x - a) / norm(x - a)  |  x=5 a=5  |  numerator  |  Cookbook 130
    I₅ / ‖x - a‖ - (x - a) (x - a)ᵀ / ‖x - a‖³
    I₅ / n - (x - a) (x - a)ᵀ / n³
(A @ x) * (B @ x)  |  x=5 A=3x5 B=3x5  |  numerator  |  folklore
    diag(B x) A + diag(A x) B
    diag(A x) B + diag(B x) A
solve(A, b)  |  b=5 A=5x5  |  numerator  |  folklore
    A⁻¹
    A⁻¹
X.T @ (X @ w - y)  |  w=3 X=7x3 y=7  |  numerator  |  folklore
    Xᵀ X
    Xᵀ X
x - mean(x)  |  x=5  |  numerator  |  folklore
    I₅ - 1/5 𝟏₅ 𝟏₅ᵀ
    I₅ - 1/5 𝟏₅ 𝟏₅ᵀ

# With matrices
X @ a  |  X=3x5 a=5  |  columns  |  Magnus, Neudecker
    aᵀ ⊗ I₃
    aᵀ ⊗ I₃
sigmoid(W @ x + b)  |  W=3x5 x=5 b=3  |  columns  |  folklore
    xᵀ ⊗ diag(σ(W x + b) ⊙ (1 - σ(W x + b)))
    xᵀ ⊗ diag(σ′(z1))
solve(A, b)  |  A=5x5 b=5  |  columns  |  folklore
    -(A⁻¹ b)ᵀ ⊗ A⁻¹
    -Dᵀ ⊗ A⁻¹
outer(x, y)  |  x=3 y=5  |  columns  |  folklore
    y ⊗ I₃
    y ⊗ I₃
outer(x, y)  |  y=5 x=3  |  columns  |  folklore
    I₅ ⊗ x
    I₅ ⊗ x
outer(x, x)  |  x=5  |  columns  |  Magnus, Neudecker
    x ⊗ I₅ + I₅ ⊗ x
    x ⊗ I₅ + I₅ ⊗ x
A @ X  |  X=3x5 A=2x3  |  columns  |  Magnus, Neudecker
    I₅ ⊗ A
    I₅ ⊗ A
W @ X  |  W=3x5 X=5x7  |  columns  |  Magnus, Neudecker
    Xᵀ ⊗ I₃
    Xᵀ ⊗ I₃
W @ X  |  W=3x5 X=5x7  |  numerator  |  folklore
    I₃ ⊗ Xᵀ
    I₃ ⊗ Xᵀ
A @ X @ B  |  X=3x5 A=2x3 B=5x7  |  columns  |  Magnus, Neudecker
    Bᵀ ⊗ A
    Bᵀ ⊗ A
A @ X @ B  |  X=3x5 A=2x3 B=5x7  |  denominator  |  folklore
    Aᵀ ⊗ B
    Aᵀ ⊗ B
X @ X  |  X=5x5  |  columns  |  Magnus, Neudecker
    Xᵀ ⊗ I₅ + I₅ ⊗ X
    Xᵀ ⊗ I₅ + I₅ ⊗ X
inv(X)  |  X=5x5  |  columns  |  Magnus, Neudecker
    -X⁻ᵀ ⊗ X⁻¹
    -Dᵀ ⊗ D
A * X  |  X=3x5 A=3x5  |  columns  |  folklore
    diag(vec(A))
    diag(vec(A))
exp(X)  |  X=3x5  |  columns  |  folklore
    diag(vec(exp(X)))
    diag(vec(D))
tanh(W @ X)  |  W=3x5 X=5x7  |  columns  |  folklore
    diag(vec(1 - tanh(W X)²)) (Xᵀ ⊗ I₃)
    diag(vec(tanh′(z1))) (Xᵀ ⊗ I₃)
X.T  |  X=3x5  |  columns  |  Magnus, Neudecker
    K(3,5)
    K(3,5)
A @ X.T @ B  |  X=3x5 A=2x5 B=3x7  |  columns  |  folklore
    (Bᵀ ⊗ A) K(3,5)
    (Bᵀ ⊗ A) K(3,5)
X.T @ X  |  X=3x5  |  columns  |  Magnus, Neudecker
    (I₂₅ + K(5,5)) (I₅ ⊗ Xᵀ)
    (I₂₅ + K(5,5)) (I₅ ⊗ Xᵀ)
X @ X.T  |  X=3x5  |  columns  |  Magnus, Neudecker
    (I₉ + K(3,3)) (X ⊗ I₃)
    (I₉ + K(3,3)) (X ⊗ I₃)
X.T @ A @ X  |  X=3x5 A=3x3  |  columns  |  folklore
    ((Xᵀ Aᵀ) ⊗ I₅) K(3,5) + I₅ ⊗ (Xᵀ A)
    K(5,5) (I₅ ⊗ (Xᵀ Aᵀ)) + I₅ ⊗ (Xᵀ A)

# Hessians
x @ x  |  x=5  |  numerator  |  Wikipedia
    2 I₅
    2 I₅
x @ A @ x  |  x=5 A=5x5  |  numerator  |  Wikipedia
    A + Aᵀ
    A + Aᵀ
(a @ x) ** 2  |  x=5 a=5  |  numerator  |  folklore
    2 a aᵀ
    2 a aᵀ
sum((A @ x - b) ** 2)  |  x=5 A=3x5 b=3  |  numerator  |  folklore
    2 Aᵀ A
    2 Aᵀ A
sum((X @ w - y) ** 2) + c * sum(w**2)  |  w=3 X=7x3 y=7 c  |  numerator  |  folklore
    2 Xᵀ X + 2 c I₃
    2 (c I₃ + Xᵀ X)
norm(x)  |  x=5  |  numerator  |  folklore
    I₅ / ‖x‖ - x xᵀ / ‖x‖³
    I₅ / ‖x‖ - x xᵀ / ‖x‖³
log(a @ x)  |  x=5 a=5 +  |  numerator  |  folklore
    -a aᵀ / (aᵀ x)²
    -a aᵀ / (aᵀ x)²
exp(a @ x)  |  x=5 a=5  |  numerator  |  folklore
    exp(aᵀ x) a aᵀ
    exp(aᵀ x) a aᵀ
logsumexp(z)  |  z=5  |  numerator  |  folklore
    diag(softmax(z)) - softmax(z) softmax(z)ᵀ
    diag(D) - D Dᵀ
sum(softplus(X @ w) - y * (X @ w))  |  w=3 X=7x3 y=7  |  numerator  |  folklore
    Xᵀ diag(σ(X w) ⊙ (1 - σ(X w))) X
    Xᵀ diag(σ′(z1)) X
exp(-sum((x - mu) ** 2) / 2)  |  x=5 mu=5  |  numerator  |  folklore
    exp(-1/2 ‖x - mu‖²) ((x - mu) (x - mu)ᵀ - I₅)
    e (x - mu) (x - mu)ᵀ - e I₅
-sum(p * log(p))  |  p=5 +  |  numerator  |  folklore
    -diag(1 / p)
    -diag(1 / p)
tr(X.T @ A @ X)  |  X=3x5 A=3x3  |  columns  |  Magnus, Neudecker
    I₅ ⊗ (A + Aᵀ)
    I₅ ⊗ (A + Aᵀ)
logdet(X)  |  X=5x5  |  columns  |  Magnus, Neudecker
    -K(5,5) (X⁻ᵀ ⊗ X⁻¹)
    -(X⁻¹ ⊗ X⁻ᵀ) K(5,5)
"""

CONVENTIONS = {
    "numerator": Convention("numerator", "rows"),
    "denominator": Convention("denominator", "rows"),
    "columns": Convention("numerator", "columns"),
}
FUNCTIONS: Mapping[str, Callable] = {
    **{name: getattr(jnp, name) for name in ("cos", "exp", "log", "mean", "outer", "sin", "sum")},
    **{name: getattr(jnp.linalg, name) for name in ("det", "inv", "norm", "solve")},
    **{name: getattr(jax.nn, name) for name in ("log_softmax", "logsumexp", "relu", "sigmoid")},
    **{name: getattr(jax.nn, name) for name in ("softmax", "softplus", "tanh")},
    "logdet": lambda X: jnp.linalg.slogdet(X)[1],
    "tr": jnp.trace,
}


@dataclass(frozen=True)
class Identity:
    """One row of the table.

    Attributes:
        family: the heading that it stands under.
        expression: the function in JAX.
        shapes: of its arguments, by name; it is differentiated by the first.
        positive: whether its arguments are.
        layout: a key of `CONVENTIONS`.
        source: where the formula stands.
        cell: the formula.
        derived: what is printed for it.
    """

    family: str
    expression: str
    shapes: Mapping[str, Shape]
    positive: bool
    layout: str
    source: str
    cell: str
    derived: str

    @property
    def name(self) -> str:
        """The row in words."""
        hessian = "Hessian of " if self.family == "Hessians" else ""
        return f"{hessian}{self.expression} by {next(iter(self.shapes))}, {self.layout}"

    @property
    def function(self) -> Callable[..., Any]:
        """What is differentiated: of a Hessian, the gradient."""
        fun = eval(f"lambda {', '.join(self.shapes)}: {self.expression}", dict(FUNCTIONS))
        return jax.grad(fun) if self.family == "Hessians" else fun

    def arrays(self) -> dict[str, jax.Array]:
        """Random arguments by name; square matrices are well-conditioned and not symmetric."""
        rng = np.random.default_rng(sum(map(ord, self.name)))
        return {name: jnp.asarray(self._random(rng, shape)) for name, shape in self.shapes.items()}

    def _random(self, rng: np.random.Generator, shape: Shape) -> Any:
        if self.positive:
            return rng.uniform(0.5, 2.0, shape)
        square = len(shape) == 2 and shape[0] == shape[1]
        return rng.normal(size=shape) + (4 * np.eye(shape[0]) if square else 0)

    @property
    def convention(self) -> Convention:
        """How the formula is laid out: by the source's own entry where its layout is known."""
        if self.source == "Wikipedia":
            return TEXTBOOKS[f"wikipedia-{self.layout}"]
        if self.source == "Magnus, Neudecker":
            return TEXTBOOKS["magnus-neudecker"]
        return CONVENTIONS[self.layout]


def _rows(table: str) -> Iterator[Identity]:
    family = ""
    for block in re.split(r"\n(?=\S)", table.strip()):
        first, *formulas = (line.strip() for line in block.strip().split("\n"))
        if first.startswith("#"):
            family = first.removeprefix("# ")
            continue
        expression, sizes, layout, source = (part.strip() for part in first.split("|"))
        shapes = dict(size.partition("=")[::2] for size in sizes.rstrip("+").split())
        cell, derived = (*formulas, "")[:2]
        yield Identity(
            family,
            expression,
            {name: tuple(map(int, re.findall(r"\d+", size))) for name, size in shapes.items()},
            sizes.endswith("+"),
            layout,
            source,
            cell,
            derived,
        )


IDENTITIES = tuple(_rows(TABLE))

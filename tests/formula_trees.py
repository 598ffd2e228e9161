"""Formulas for the tests of the lowerings: a table by their text, all small ones, random ones."""

from collections.abc import Iterator
from itertools import product

from hypothesis import strategies as st

from layouts.formulas.tree import (
    Call,
    Compare,
    Delta,
    Derivative,
    Digits,
    Entry,
    Equation,
    Formula,
    Identity,
    Indicator,
    Inverse,
    Letter,
    Name,
    Number,
    Ones,
    Power,
    Product,
    Quotient,
    Sigma,
    Sum,
    Transpose,
    View,
)

W, X, L, D, A, B = map(Name, "WXLDAB")
a, b, c, n, s, x, z, z1 = map(Name, ["a", "b", "c", "n", "s", "x", "z", "z1"])
i, j, k, ell, m1 = (Letter(text, 3) for text in ("i", "j", "k", "l", "m1"))
nan, inf = float("nan"), float("inf")


def mul(*factors: Formula) -> Product:
    return Product("matrix", factors)


def had(*factors: Formula) -> Product:
    return Product("entrywise", factors)


def kron(*factors: Formula) -> Product:
    return Product("kronecker", factors)


def add(*pairs: tuple[complex, Formula]) -> Sum:
    return Sum(tuple(number for number, _ in pairs), tuple(term for _, term in pairs))


def at(array: Formula, *indices: Formula) -> Entry:
    return Entry(array, indices)


def one(function: str, *operands: Formula, primes: int = 0, **options: object) -> Call:
    return Call(function, operands, tuple(options.items()), primes)


dL, dD = Derivative(L, W), Derivative(L, D)
positive = Indicator(Compare(">", z, Number(0)))
hand = Equation(
    (
        at(dL, k, ell),
        Sigma((i, j), mul(at(dD, i, j), Delta(i, k), at(X, ell, j))),
        Sigma((j,), mul(at(dD, k, j), at(X, ell, j))),
    )
)
second = at(Derivative(at(dL, i, j), X), k, ell)

# The text of each in Unicode, in ASCII and in LaTeX.
TABLE: list[tuple[Formula, str, str, str]] = [
    (Name("params.w"), "params.w", "params.w", r"\mathrm{params.w}"),
    (z1, "z1", "z1", "z_{1}"),
    (at(X, ell, j), "X[l,j]", "X[l,j]", "X_{l,j}"),
    (at(L), "L", "L", "L"),
    (at(z1, j), "z1[j]", "z1[j]", "[z_{1}]_{j}"),
    (at(X, Digits((i, j)), k), "X[(i,j),k]", "X[(i,j),k]", "X_{(i,j),k}"),
    (at(x, add((1, i), (2, Number(1)))), "x[i+2]", "x[i+2]", "x_{i + 2}"),
    (at(x, add((1, Number(6)), (-1, i))), "x[6-i]", "x[6-i]", "x_{6 - i}"),
    (at(x, add((2, i), (1, Number(1)))), "x[2i+1]", "x[2*i+1]", "x_{2 i + 1}"),
    (at(x, add((2, m1))), "x[2·m1]", "x[2*m1]", "x_{2 m_{1}}"),
    (at(x, at(A, i)), "x[A[i]]", "x[A[i]]", "x_{A_{i}}"),
    (at(dD, i, j), "∂L/∂D[i,j]", "dL/dD[i,j]", r"\frac{\partial L}{\partial D_{i,j}}"),
    (one("tanh", z1, primes=1), "tanh′(z1)", "tanh'(z1)", r"\tanh'(z_{1})"),
    (at(one("tanh", z, primes=2), i), "tanh′′(z)[i]", "tanh''(z)[i]", r"[\tanh''(z)]_{i}"),
    (at(mul(W, X), i, j), "(W X)[i,j]", "(W @ X)[i,j]", "[W X]_{i,j}"),
    (at(Transpose(X), i, j), "Xᵀ[i,j]", "X.T[i,j]", r"[X^{\top}]_{i,j}"),
    (
        Derivative(at(D, i, j), at(W, k, ell)),
        "∂D[i,j]/∂W[k,l]",
        "dD[i,j]/dW[k,l]",
        r"\frac{\partial D_{i,j}}{\partial W_{k,l}}",
    ),
    (
        second,
        "∂(∂L/∂W[i,j])/∂X[k,l]",
        "d(dL/dW[i,j])/dX[k,l]",
        r"\frac{\partial^{2} L}{\partial X_{k,l} \, \partial W_{i,j}}",
    ),
    (Delta(i, k), "δ[i,k]", "delta[i,k]", r"\delta_{i,k}"),
    (
        Delta(add((1, i), (2, Number(1))), k),
        "δ[i+2,k]",
        "delta[i+2,k]",
        r"\delta_{i + 2,k}",
    ),
    (
        Sigma((j,), mul(at(W, i, j), at(X, j, k))),
        "Σ_j W[i,j] X[j,k]",
        "sum_j W[i,j] * X[j,k]",
        r"\sum_{j} W_{i,j} X_{j,k}",
    ),
    (
        Sigma((i, m1), add((1, at(a, i)), (1, b))),
        "Σ_(i,m1) (a[i] + b)",
        "sum_(i,m1) (a[i] + b)",
        r"\sum_{i,m_{1}} (a_{i} + b)",
    ),
    (Sigma((m1,), at(a, m1)), "Σ_(m1) a[m1]", "sum_(m1) a[m1]", r"\sum_{m_{1}} a_{m_{1}}"),
    (mul(a, Sigma((i,), at(x, i))), "a Σ_i x[i]", "a * sum_i x[i]", r"a \sum_{i} x_{i}"),
    (
        mul(Sigma((i,), at(x, i)), a),
        "(Σ_i x[i]) a",
        "(sum_i x[i]) * a",
        r"\left(\sum_{i} x_{i}\right) \, a",
    ),
    (add((1, a), (-2, b)), "a - 2 b", "a - 2 * b", "a - 2 b"),
    (add((-1, a), (0.2, b)), "-a + 1/5 b", "-a + 1/5 * b", r"-a + \frac{1}{5} \, b"),
    (add((0.12345, a)), "0.12345 a", "0.12345 * a", r"0.12345 \, a"),
    (add((1j, a)), "(0+1j) a", "(0+1j) * a", r"(0 + 1\mathrm{i}) \, a"),
    (
        add((nan, a), (-inf, b)),
        "nan a - inf b",
        "nan * a - inf * b",
        r"\mathrm{nan} \, a - \infty b",
    ),
    (add((1, a), (1, add((1, b), (-1, c)))), "a + b - c", "a + b - c", "a + b - c"),
    (add((1, a), (-1, add((1, b), (1, c)))), "a - (b + c)", "a - (b + c)", "a - (b + c)"),
    (add((2, add((1, b), (1, c)))), "2 (b + c)", "2 * (b + c)", r"2 \, (b + c)"),
    (add((1, a), (1, Number(-2))), "a - 2", "a - 2", "a - 2"),
    (add((2, Number(3))), "2 (3)", "2 * 3", r"2 \cdot 3"),
    (add((2, had(A, B))), "2 (A ⊙ B)", "2 * A * B", r"2 \, (A \odot B)"),
    (add((2, mul(A, B))), "2 A B", "2 * A @ B", "2 A B"),
    (add((-1, Quotient(a, b))), "-a / b", "-a / b", r"-\frac{a}{b}"),
    (Number(1e20), "1e+20", "1e+20", r"1 \times 10^{20}"),
    (Number(-2), "-2", "-2", "-2"),
    (mul(W, Transpose(X)), "W Xᵀ", "W @ X.T", r"W X^{\top}"),
    (
        mul(Delta(i, k), at(X, ell, j)),
        "δ[i,k] X[l,j]",
        "delta[i,k] * X[l,j]",
        r"\delta_{i,k} X_{l,j}",
    ),
    (mul(mul(x, Transpose(x)), a), "x xᵀ a", "x @ x.T @ a", r"x x^{\top} a"),
    (mul(x, mul(Transpose(x), a)), "x (xᵀ a)", "x @ (x.T @ a)", r"x \, (x^{\top} a)"),
    (mul(x, add((1, a), (1, b))), "x (a + b)", "x @ (a + b)", r"x \, (a + b)"),
    (mul(Quotient(a, b), x), "(a / b) x", "(a / b) @ x", r"\frac{a}{b} \, x"),
    (mul(had(A, B), x), "(A ⊙ B) x", "(A * B) @ x", r"(A \odot B) \, x"),
    (
        had(mul(Transpose(W), dD), one("tanh", z, primes=1)),
        "(Wᵀ ∂L/∂D) ⊙ tanh′(z)",
        "(W.T @ dL/dD) * tanh'(z)",
        r"\left(W^{\top} \, \frac{\partial L}{\partial D}\right) \odot \tanh'(z)",
    ),
    (kron(A, B, W), "A ⊗ B ⊗ W", "kron(kron(A, B), W)", r"A \otimes B \otimes W"),
    (kron(had(A, B), W), "(A ⊙ B) ⊗ W", "kron(A * B, W)", r"(A \odot B) \otimes W"),
    (Quotient(mul(W, X), n), "W X / n", "W @ X / n", r"\frac{W X}{n}"),
    (
        Quotient(dL, mul(a, b)),
        "(∂L/∂W) / (a b)",
        "(dL/dW) / (a @ b)",
        r"\frac{\frac{\partial L}{\partial W}}{a b}",
    ),
    (Power(x, Number(2)), "x²", "x**2", "x^{2}"),
    (Power(x, Number(-2)), "x⁻²", "x**(-2)", "x^{-2}"),
    (Power(x, Number(-1)), "x^(-1)", "x**(-1)", r"\frac{1}{x}"),
    (Power(x, Number(0.5)), "x^(1/2)", "x**(1/2)", "x^{1/2}"),
    (Power(x, n), "x^n", "x**n", "x^{n}"),
    (Power(add((1, a), (1, b)), Number(3)), "(a + b)³", "(a + b)**3", "(a + b)^{3}"),
    (Transpose(mul(W, X)), "(W X)ᵀ", "(W @ X).T", r"(W X)^{\top}"),
    (
        Transpose(dD),
        "(∂L/∂D)ᵀ",
        "(dL/dD).T",
        r"\left(\frac{\partial L}{\partial D}\right)^{\top}",
    ),
    (Inverse(X), "X⁻¹", "inv(X)", "X^{-1}"),
    (Transpose(Inverse(X)), "X⁻ᵀ", "inv(X).T", r"X^{-\top}"),
    (Inverse(Transpose(X)), "(Xᵀ)⁻¹", "inv(X.T)", r"(X^{\top})^{-1}"),
    (
        one("softmax", Name("Z"), axis=1),
        "softmax(Z, axis=1)",
        "softmax(Z, axis=1)",
        r"\operatorname{softmax}(Z, \mathrm{axis} = 1)",
    ),
    (one("sigmoid", z), "σ(z)", "sigmoid(z)", r"\sigma(z)"),
    (one("sigmoid", z, primes=1), "σ′(z)", "sigmoid'(z)", r"\sigma'(z)"),
    (one("diag", s), "diag(s)", "diag(s)", r"\operatorname{diag}(s)"),
    (one("sqrt", s), "sqrt(s)", "sqrt(s)", r"\sqrt{s}"),
    (one("abs", s), "abs(s)", "abs(s)", r"\lvert s \rvert"),
    (one("logdet", X), "log det(X)", "logdet(X)", r"\log\det(X)"),
    (
        Power(one("norm", add((1, mul(A, x)), (-1, b))), Number(2)),
        "‖A x - b‖²",
        "norm(A @ x - b)**2",
        r"\lVert A x - b \rVert^{2}",
    ),
    (View(x, (":", "None")), "x[:, None]", "x[:, None]", r"x[\text{:, None}]"),
    (Ones((5,)), "𝟏₅", "ones(5)", r"\mathbf{1}_{5}"),
    (
        Transpose(Ones((4, 5))),
        "𝟏(4×5)ᵀ",
        "ones((4, 5)).T",
        r"\mathbf{1}_{4 \times 5}^{\top}",
    ),
    (Identity(14), "I₁₄", "eye(14)", "I_{14}"),
    (Compare("<=", add((1, a), (1, b)), c), "a + b <= c", "a + b <= c", r"a + b \leq c"),
    (
        add((1, positive), (0.1, positive)),
        "1[z > 0] + 1/10 1[z > 0]",
        "1[z > 0] + 1/10 * 1[z > 0]",
        r"\mathbf{1}[z > 0] + \frac{1}{10} \, \mathbf{1}[z > 0]",
    ),
    (
        add((1, Number(1)), (-1, Power(one("tanh", z), Number(2)))),
        "1 - tanh(z)²",
        "1 - tanh(z)**2",
        r"1 - \tanh(z)^{2}",
    ),
    (
        hand,
        "∂L/∂W[k,l] = Σ_ij ∂L/∂D[i,j] δ[i,k] X[l,j] = Σ_j ∂L/∂D[k,j] X[l,j]",
        "dL/dW[k,l] = sum_ij dL/dD[i,j] * delta[i,k] * X[l,j] = sum_j dL/dD[k,j] * X[l,j]",
        r"\frac{\partial L}{\partial W_{k,l}} = "
        r"\sum_{i,j} \frac{\partial L}{\partial D_{i,j}} \, \delta_{i,k} X_{l,j} = "
        r"\sum_{j} \frac{\partial L}{\partial D_{k,j}} \, X_{l,j}",
    ),
]
FORMULAS = [row[0] for row in TABLE]


def wrapped(inner: Formula) -> list[Formula]:
    """Every kind of formula of one part."""
    return [
        Transpose(inner),
        Inverse(inner),
        Power(inner, Number(2)),
        Power(inner, Number(-1)),
        Power(b, inner),
        Sigma((i,), inner),
        add((-1, inner)),
        add((2, inner)),
        add((0.2, inner), (1j, inner)),
        at(inner, i, k),
        View(inner, (":", "None")),
        one("tanh", inner),
        one("tanh", inner, primes=1),
        one("norm", inner),
        one("logdet", inner),
        Indicator(Compare(">", inner, Number(0))),
        Derivative(at(inner, i), x),
    ]


def paired(left: Formula, right: Formula) -> list[Formula]:
    """Every kind of formula of two parts."""
    return [
        mul(left, right),
        had(left, right),
        kron(left, right),
        Quotient(left, right),
        add((1, left), (1, right)),
        add((1, left), (-1, right)),
        add((1, left), (-2, right)),
        Compare("<", left, right),
        Equation((left, right)),
    ]


ATOMS = [a, at(X, i, k), Number(3), dL]


def small() -> Iterator[Formula]:
    """Every formula of two levels over a few atoms, and many of three."""
    shallow = [f for atom in ATOMS for f in wrapped(atom)]
    shallow += [f for pair in product(ATOMS, repeat=2) for f in paired(*pair)]
    yield from ATOMS
    yield from shallow
    for formula in shallow:
        yield from wrapped(formula)
        for atom in ATOMS:
            yield from paired(formula, atom)
            yield from paired(atom, formula)


texts = st.text(max_size=4) | st.sampled_from(["z1", "W_hh", "params.w", "my_var", "α", "a<b"])
scalars = (
    st.integers(-3, 9)
    | st.floats()
    | st.complex_numbers()
    | st.sampled_from([0.2, -0.5, 1e20, nan, inf])
)
letters = st.builds(Letter, st.sampled_from(["i", "j", "m1"]) | texts, st.integers(0, 5))
names = st.builds(Name, texts)


@st.composite
def _sums(draw, inner):
    return add(*draw(st.lists(st.tuples(scalars, inner), max_size=4)))


def _larger(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    several = st.lists(inner, max_size=4).map(tuple)
    kinds = st.sampled_from(["matrix", "entrywise", "kronecker"])
    functions = st.sampled_from(["tanh", "sigmoid", "norm", "logdet", "abs", "sqrt"]) | texts
    options = st.lists(st.tuples(texts, st.integers() | texts), max_size=2).map(tuple)
    return st.one_of(
        inner.flatmap(lambda part: st.sampled_from(wrapped(part))),
        st.tuples(inner, inner).flatmap(lambda two: st.sampled_from(paired(*two))),
        st.builds(Product, kinds, several),
        _sums(inner),
        st.builds(Entry, inner, several),
        st.builds(Sigma, st.lists(letters, max_size=3).map(tuple), inner),
        st.builds(Digits, st.lists(letters, max_size=3).map(tuple)),
        st.builds(Delta, inner, inner),
        st.builds(Derivative, inner, inner),
        st.builds(Power, inner, inner),
        st.builds(Call, functions, several, options, st.integers(0, 3)),
        st.builds(View, inner, st.lists(texts, max_size=3).map(tuple)),
        st.builds(Compare, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.builds(Equation, several),
    )


formulas: st.SearchStrategy[Formula] = st.recursive(
    st.one_of(
        names,
        letters,
        st.builds(Number, scalars),
        st.builds(Ones, st.lists(st.integers(0, 12), max_size=3).map(tuple)),
        st.builds(Identity, st.integers(0, 12)),
    ),
    _larger,
    max_leaves=12,
)

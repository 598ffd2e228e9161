"""Points in space: energies and forces between pairs, kernels, arms, cameras, a heated plate."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.suite.case import Case, made_first, on_diagonal, positive, same, standard

SOFTENING = 0.1


def differences(X: jax.Array) -> jax.Array:
    """`x[i,d] - x[j,d]` for every pair."""
    return X[:, None, :] - X[None, :, :]


def energy(X: jax.Array) -> jax.Array:
    """Half the sum of all (softened) distances."""
    u = differences(X)
    return 0.5 * jnp.sqrt((u * u).sum(-1) + SOFTENING).sum()


def energy_by_hand(X: jax.Array) -> jax.Array:
    """`δ[i,m] Σ_j B[i,j,d,e] - B[i,m,d,e]` with `B = δ[d,e] / r - u[d] u[e] / r³`."""
    u = differences(X)
    near = (1 / jnp.sqrt((u * u).sum(-1) + SOFTENING))[:, None, :]  # written as (i, d, m, e)
    turned, unit = u.transpose(0, 2, 1), same(X.shape[1], X.dtype)[None, :, None, :]
    block = near[..., None] * unit - (turned * near**3)[..., None] * u[:, None, :, :]
    return on_diagonal(block.sum(2)) - block


def forces(X: jax.Array, masses: jax.Array) -> jax.Array:
    """The pull of every body on every other, per mass."""
    u = differences(X)
    cubed = ((u * u).sum(-1) + SOFTENING) ** -1.5
    return -((masses[None, :] * cubed)[:, :, None] * u).sum(1)


def forces_by_hand(X: jax.Array, masses: jax.Array) -> jax.Array:
    """`B[i,m,d,e] - δ[i,m] Σ_j B[i,j,d,e]` with `B = m[j] (δ[d,e] / r³ - 3 u[d] u[e] / r⁵)`."""
    u = differences(X)
    near = 1 / ((u * u).sum(-1) + SOFTENING)
    unit = same(X.shape[1], X.dtype)[None, None]
    tensor = unit - 3 * near[:, :, None, None] * u[:, :, :, None] * u[:, :, None, :]
    block = (masses[None, :] * near * jnp.sqrt(near))[:, :, None, None] * tensor
    return block.transpose(0, 2, 1, 3) - on_diagonal(block.sum(1))


def kernel_matrix(X: jax.Array) -> jax.Array:
    """The Gaussian kernel of every pair of points."""
    u = differences(X)
    return jnp.exp(-0.5 * (u * u).sum(-1))


def kernel_matrix_by_hand(X: jax.Array) -> jax.Array:
    """`(δ[j,m] - δ[i,m]) K[i,j] u[i,j,d]`, both diagonals added to an array of zeros."""
    u, (n, width) = differences(X), X.shape
    slope = jnp.exp(-0.5 * (u * u).sum(-1, keepdims=True)) * u
    zeros, here = jnp.zeros((n, n, n, width), X.dtype), jnp.arange(n)
    return zeros.at[:, here, here].add(slope).at[here, :, here].add(-slope)


def turns(angles: jax.Array, axis: int) -> jax.Array:
    """Rotations about a coordinate axis, one for each angle."""
    c, s, zero, one = jnp.cos(angles), jnp.sin(angles), 0 * angles, 0 * angles + 1
    about_y, about_z = (
        [c, zero, s, zero, one, zero, -s, zero, c],
        [c, -s, zero, s, c, *[zero] * 3, one],
    )
    return jnp.stack(about_z if axis == 2 else about_y, -1).reshape(-1, 3, 3)


def arm(angles: jax.Array, links: jax.Array) -> jax.Array:
    """Where an arm ends, pose by pose: joints turn about z and y in turns."""
    frame = turns(angles[:, 0], 2)
    end = frame @ links[0]
    for joint in range(1, angles.shape[1]):
        frame = frame @ turns(angles[:, joint], 2 - joint % 2)
        end = end + frame @ links[joint]
    return end


def arm_by_hand(angles: jax.Array, links: jax.Array) -> jax.Array:
    """Each joint's axis × the way from it to the end."""
    poses, joints = angles.shape
    frame = turns(angles[:, 0], 2)
    axes, ends = [jnp.zeros((poses, 3), angles.dtype).at[:, 2].set(1)], [frame @ links[0]]
    for joint in range(1, joints):
        axes.append(frame[:, :, 2 - joint % 2])
        frame = frame @ turns(angles[:, joint], 2 - joint % 2)
        ends.append(ends[-1] + frame @ links[joint])
    starts = jnp.stack([jnp.zeros_like(ends[0]), *ends[:-1]], -1)
    columns = jnp.cross(jnp.stack(axes, -1), ends[-1][:, :, None] - starts, axis=1)
    return on_diagonal(columns)


def projection(points: jax.Array, turned: jax.Array, shift: jax.Array) -> jax.Array:
    """Where cameras see points: (camera, point, 2)."""
    seen = jnp.einsum("cij,pj->cpi", turned, points) + shift[:, None, :]
    return seen[..., :2] / seen[..., 2:]


def projection_by_hand(points: jax.Array, turned: jax.Array, shift: jax.Array) -> jax.Array:
    """`δ[p,q] (R[c,d,j] - uv[c,p,d] R[c,2,j]) / z[c,p]`."""
    seen = jnp.einsum("cij,pj->cpi", turned, points) + shift[:, None, :]
    depth, place = seen[..., 2:, None], (seen[..., :2] / seen[..., 2:])[..., None]
    rows = (turned[:, None, :2] - place * turned[:, None, 2:]) / depth  # camera, point, 2, 3
    (rows,) = made_first(rows)
    return rows[:, :, :, None, :] * same(points.shape[0], rows.dtype)[None, :, None, :, None]


def heat(u: jax.Array) -> jax.Array:
    """One explicit step of a plate that conducts and radiates, at its inner points."""
    inner = u[1:-1, 1:-1]
    around = u[2:, 1:-1] + u[:-2, 1:-1] + u[1:-1, 2:] + u[1:-1, :-2]
    return inner + 0.2 * (around - 4 * inner) - 0.1 * inner**4


def heat_by_hand(u: jax.Array) -> jax.Array:
    """The point itself and its four neighbours."""
    rows, columns = (
        jnp.arange(n)[None, :] - jnp.arange(n - 2)[:, None] for n in u.shape
    )  # inner point × point: 1 where they are the same
    own = (rows == 1)[:, None, :, None] & (columns == 1)[None, :, None, :]
    beside = (jnp.abs(rows - 1) == 1)[:, None, :, None] & (columns == 1)[None, :, None, :]
    above = (rows == 1)[:, None, :, None] & (jnp.abs(columns - 1) == 1)[None, :, None, :]
    slope = (0.2 - 0.4 * u[1:-1, 1:-1] ** 3)[:, :, None, None]
    return jnp.where(own, slope, jnp.where(beside | above, jnp.float32(0.2), 0))


def rotations(random: np.random.Generator, count: int) -> np.ndarray:
    """Orthogonal 3×3 matrices at random."""
    return np.linalg.qr(random.normal(size=(count, 3, 3)))[0].astype(np.float32)


CASES = (
    Case(
        name="distances of 256 points in 3-D, Hessian of their sum",
        kind="interaction",
        function=energy,
        sizes=((256, 3), (5, 2)),
        arguments=lambda r, n, d: (standard(r, n, d),),
        by_hand=energy_by_hand,
        dense=150,
        second_order=True,
    ),
    Case(
        name="Gaussian kernel matrix of 100 points in 3-D",
        kind="interaction",
        function=kernel_matrix,
        sizes=((100, 3), (5, 2)),
        arguments=lambda r, n, d: (standard(r, n, d),),
        by_hand=kernel_matrix_by_hand,
        dense=8,
    ),
    Case(
        name="forces between 128 bodies in 3-D, by place",
        kind="interaction",
        function=forces,
        sizes=((128, 3), (5, 2)),
        arguments=lambda r, n, d: (standard(r, n, d), positive(r, n)),
        by_hand=forces_by_hand,
        dense=8,
    ),
    Case(
        name="arm of 12 joints, 64 poses, end by angles",
        kind="geometry",
        function=arm,
        sizes=((64, 12), (3, 4)),
        arguments=lambda r, poses, joints: (standard(r, poses, joints), positive(r, joints, 3)),
        by_hand=arm_by_hand,
    ),
    Case(
        name="20 cameras' view of 100 points, by the points",
        kind="geometry",
        function=projection,
        sizes=((100, 20), (5, 3)),
        arguments=lambda r, points, cameras: (
            standard(r, points, 3),
            rotations(r, cameras),
            np.array([[0, 0, 8]], np.float32) + positive(r, cameras, 3),
        ),
        by_hand=projection_by_hand,
        structured=20,
    ),
    Case(
        name="heat step on a plate of 48×48",
        kind="PDE",
        function=heat,
        sizes=((48, 48), (5, 7)),
        arguments=lambda r, m, n: (positive(r, m, n),),
        by_hand=heat_by_hand,
        structured=20,
    ),
)

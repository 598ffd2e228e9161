"""Batched products: of two batches, of a batch with shared weights, bilinear, and with heads."""

import jax.numpy as jnp
import numpy as np

from tests.mistakes import Case


def batched(A, B):
    return jnp.einsum("nij,njk->nik", A, B)


def shared(X, W):
    """The same weights for every time of every sample."""
    return jnp.einsum("ntd,dk->ntk", X, W)


def bilinear(x, y, T):
    """The form x T y for each sample and each output."""
    return jnp.einsum("ni,oij,nj->no", x, T, y)


def heads(X, W):
    """Each head has its own weights."""
    return jnp.einsum("nd,hdk->nhk", X, W)


def scores(Q, K):
    """Inner products within each head."""
    return jnp.einsum("nqhd,nkhd->nhqk", Q, K)


def contracted(A, B):
    """The inner product of two matrices after a transpose: a number for each sample."""
    return jnp.einsum("nij,nji->n", A, B)


def batched_args(rng):
    return rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3, 7))


def batched_square_args(rng):
    return rng.normal(size=(2, 5, 5)), rng.normal(size=(2, 5, 5))


def shared_args(rng):
    return rng.normal(size=(2, 5, 3)), rng.normal(size=(3, 7))


def shared_square_args(rng):
    return rng.normal(size=(2, 5, 3)), rng.normal(size=(3, 3))


def bilinear_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 7)), rng.normal(size=(2, 3, 7))


def bilinear_square_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=(2, 3, 3))


def heads_args(rng):
    return rng.normal(size=(5, 3)), rng.normal(size=(2, 3, 7))


def scores_args(rng):
    return rng.normal(size=(2, 5, 3, 4)), rng.normal(size=(2, 7, 3, 4))


def scores_square_args(rng):
    return rng.normal(size=(2, 5, 3, 4)), rng.normal(size=(2, 5, 3, 4))


def contracted_args(rng):
    return rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 3, 5))


def contracted_square_args(rng):
    return rng.normal(size=(2, 5, 5)), rng.normal(size=(2, 5, 5))


# two batches


def A_right(g, A, B):
    return np.einsum("nik,njk->nij", g, B)


def A_matmul(g, A, B):
    return g @ B.swapaxes(1, 2)


def A_loop(g, A, B):
    return np.stack([d @ b.T for d, b in zip(g, B, strict=True)])


def A_not_transposed(g, A, B):
    return g @ B


def A_inverse(g, A, B):
    return g @ np.linalg.inv(B)


def A_order_swapped(g, A, B):
    return B.swapaxes(1, 2) @ g


def A_transposed(g, A, B):
    return B @ g.swapaxes(1, 2)


def A_batch_summed(g, A, B):
    """One product for the whole batch, as if the weights were shared."""
    total = np.einsum("nik,njk->ij", g, B)
    return np.broadcast_to(total, A.shape).copy()


def A_flattened(g, A, B):
    """Folds the batch into rows and multiplies with the sum of all B."""
    return (g.reshape(-1, g.shape[2]) @ B.sum(0).T).reshape(A.shape)


def A_reshaped_for_transposed(g, A, B):
    return g @ B.reshape(len(B), B.shape[2], B.shape[1])


def B_right(g, A, B):
    return A.swapaxes(1, 2) @ g


def B_outer_products(g, A, B):
    return sum(A[:, i, :, None] * g[:, i, None, :] for i in range(A.shape[1]))


def B_not_transposed(g, A, B):
    return A @ g


def B_gets_that_of_A(g, A, B):
    return g @ B.swapaxes(1, 2)


def B_batch_mean(g, A, B):
    return A.swapaxes(1, 2) @ g / len(A)


# shared weights


def W_right(g, X, W):
    return np.einsum("ntd,ntk->dk", X, g)


def W_flattened(g, X, W):
    return X.reshape(-1, X.shape[2]).T @ g.reshape(-1, g.shape[2])


def W_tensordot(g, X, W):
    return np.tensordot(X, g, axes=((0, 1), (0, 1)))


def W_not_summed_over_samples(g, X, W):
    return np.einsum("ntd,ntk->ndk", X, g)


def W_mean_over_samples(g, X, W):
    return np.einsum("ntd,ntk->dk", X, g) / len(X)


def W_mean_over_samples_and_times(g, X, W):
    return np.einsum("ntd,ntk->dk", X, g) / (X.shape[0] * X.shape[1])


def W_last_sample(g, X, W):
    dW = np.zeros_like(W)
    for x, d in zip(X, g, strict=True):
        dW = x.T @ d
    return dW


def W_transposed(g, X, W):
    return np.einsum("ntd,ntk->kd", X, g)


def W_times_mixed(g, X, W):
    """Sums the times apart from each other."""
    return np.einsum("ntd,nsk->dk", X, g)


def W_samples_mixed(g, X, W):
    return np.einsum("ntd,mtk->dk", X, g)


def W_flattened_by_columns(g, X, W):
    """Reshapes one of the two in the other order."""
    return X.reshape(-1, X.shape[2]).T @ g.transpose(1, 0, 2).reshape(-1, g.shape[2])


def W_output_for_cotangent(g, X, W):
    return np.einsum("ntd,nte,ek->dk", X, X, W)


def X_right(g, X, W):
    return g @ W.T


def X_not_transposed(g, X, W):
    return g @ W


def X_sign(g, X, W):
    return -g @ W.T


# bilinear


def T_right(g, x, y, T):
    return np.einsum("no,ni,nj->oij", g, x, y)


def T_stacked(g, x, y, T):
    return np.stack([x.T @ np.diag(g[:, o]) @ y for o in range(len(T))])


def T_transposed(g, x, y, T):
    return np.einsum("no,nj,ni->oij", g, x, y)


def T_y_forgotten(g, x, y, T):
    return np.broadcast_to(np.einsum("no,ni->oi", g, x)[:, :, None], T.shape).copy()


def T_mean(g, x, y, T):
    return np.einsum("no,ni,nj->oij", g, x, y) / len(x)


def x_right(g, x, y, T):
    return np.einsum("no,oij,nj->ni", g, T, y)


def x_weighted_matrices(g, x, y, T):
    return np.array([np.tensordot(d, T, 1) @ b for d, b in zip(g, y, strict=True)])


def x_not_transposed(g, x, y, T):
    return np.einsum("no,oji,nj->ni", g, T, y)


def x_with_itself(g, x, y, T):
    return np.einsum("no,oij,nj->ni", g, T, x)


def x_samples_of_y_summed(g, x, y, T):
    return np.einsum("no,oij,mj->ni", g, T, y)


def x_gets_that_of_y(g, x, y, T):
    return np.einsum("no,oij,ni->nj", g, T, x)


# heads


def heads_X_right(g, X, W):
    return np.einsum("nhk,hdk->nd", g, W)


def heads_X_folded(g, X, W):
    return g.reshape(len(X), -1) @ W.transpose(0, 2, 1).reshape(-1, X.shape[1])


def heads_X_one_head(g, X, W):
    return g[:, 0] @ W[0].T


def heads_X_not_summed(g, X, W):
    return np.einsum("nhk,hdk->nhd", g, W)


def heads_X_mean(g, X, W):
    return np.einsum("nhk,hdk->nd", g, W) / len(W)


def heads_X_last_head(g, X, W):
    for h in range(len(W)):
        dX = g[:, h] @ W[h].T
    return dX


def heads_X_folded_in_the_wrong_order(g, X, W):
    return g.transpose(0, 2, 1).reshape(len(X), -1) @ W.transpose(0, 2, 1).reshape(-1, X.shape[1])


def heads_W_right(g, X, W):
    return np.einsum("nd,nhk->hdk", X, g)


def heads_W_transposed(g, X, W):
    return np.einsum("nd,nhk->hkd", X, g)


def heads_W_cotangent_forgotten(g, X, W):
    return np.einsum("nd,nhk->hdk", X, np.ones_like(g))


# scores


def scores_Q_right(g, Q, K):
    return np.einsum("nhqk,nkhd->nqhd", g, K)


def scores_Q_matmul(g, Q, K):
    return (g @ K.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)


def scores_Q_table_not_transposed(g, Q, K):
    return np.einsum("nhkq,nkhd->nqhd", g, K)


def scores_Q_heads_left_in_front(g, Q, K):
    """The forward pass moved the heads to the front, and they stay there."""
    return g @ K.transpose(0, 2, 1, 3)


def scores_Q_gets_that_of_K(g, Q, K):
    return np.einsum("nhqk,nqhd->nkhd", g, Q)


def scores_Q_reshaped_back(g, Q, K):
    return (g @ K.transpose(0, 2, 1, 3)).reshape(Q.shape)


# a number for each sample


def contracted_right(g, A, B):
    return g[:, None, None] * B.swapaxes(1, 2)


def contracted_einsum(g, A, B):
    return np.einsum("n,nji->nij", g, B)


def contracted_not_transposed(g, A, B):
    return g[:, None, None] * B


def contracted_one_cotangent(g, A, B):
    return g.sum() * B.swapaxes(1, 2)


def contracted_cotangent_forgotten(g, A, B):
    return B.swapaxes(1, 2).copy()


CASES = [
    Case("einsum_batch", b.__name__.replace("_", " "), argnum, f, b, draw, kinds)
    for argnum, f, b, draw, kinds in [
        (0, batched, A_right, batched_args, ()),
        (0, batched, A_matmul, batched_args, ()),
        (0, batched, A_loop, batched_args, ()),
        (0, batched, A_not_transposed, batched_square_args, ("operand-not-transposed",)),
        (0, batched, A_inverse, batched_square_args, ("inverse-for-transpose",)),
        (0, batched, A_order_swapped, batched_square_args, ("order-swapped",)),
        (0, batched, A_transposed, batched_args, ("transposed-layout",)),
        (0, batched, A_batch_summed, batched_args, ("flattened-batch",)),
        (0, batched, A_flattened, batched_args, ("flattened-batch",)),
        (0, batched, A_reshaped_for_transposed, batched_args, ("vec-order",)),
        (1, batched, B_right, batched_args, ()),
        (1, batched, B_outer_products, batched_args, ()),
        (1, batched, B_not_transposed, batched_square_args, ("operand-not-transposed",)),
        (1, batched, B_gets_that_of_A, batched_square_args, ("wrong-argument",)),
        (1, batched, B_batch_mean, batched_args, ("mean-for-sum", "constant-factor")),
        (1, shared, W_right, shared_args, ()),
        (1, shared, W_flattened, shared_args, ()),
        (1, shared, W_tensordot, shared_args, ()),
        (1, shared, W_not_summed_over_samples, shared_args, ("missing-sum",)),
        (1, shared, W_mean_over_samples, shared_args, ("mean-for-sum", "constant-factor")),
        (
            1,
            shared,
            W_mean_over_samples_and_times,
            shared_args,
            ("mean-for-sum", "constant-factor"),
        ),
        (1, shared, W_last_sample, shared_args, ("overwritten-duplicates", "missing-sum")),
        (1, shared, W_transposed, shared_args, ("transposed-layout",)),
        (1, shared, W_times_mixed, shared_args, ("flattened-batch",)),
        (1, shared, W_samples_mixed, shared_args, ("flattened-batch",)),
        (1, shared, W_flattened_by_columns, shared_args, ("vec-order",)),
        (1, shared, W_output_for_cotangent, shared_args, ("missing-cotangent",)),
        (0, shared, X_right, shared_args, ()),
        (0, shared, X_not_transposed, shared_square_args, ("operand-not-transposed",)),
        (0, shared, X_sign, shared_args, ("sign",)),
        (2, bilinear, T_right, bilinear_args, ()),
        (2, bilinear, T_stacked, bilinear_args, ()),
        (2, bilinear, T_transposed, bilinear_square_args, ("transposed-layout",)),
        (2, bilinear, T_y_forgotten, bilinear_args, ("missing-factor",)),
        (2, bilinear, T_mean, bilinear_args, ("mean-for-sum", "constant-factor")),
        (0, bilinear, x_right, bilinear_args, ()),
        (0, bilinear, x_weighted_matrices, bilinear_args, ()),
        (0, bilinear, x_not_transposed, bilinear_square_args, ("operand-not-transposed",)),
        (0, bilinear, x_with_itself, bilinear_square_args, ("wrong-point", "wrong-argument")),
        (0, bilinear, x_samples_of_y_summed, bilinear_args, ("flattened-batch",)),
        (0, bilinear, x_gets_that_of_y, bilinear_square_args, ("wrong-argument",)),
        (0, heads, heads_X_right, heads_args, ()),
        (0, heads, heads_X_folded, heads_args, ()),
        (0, heads, heads_X_one_head, heads_args, ("missing-path", "missing-sum")),
        (0, heads, heads_X_not_summed, heads_args, ("missing-sum",)),
        (0, heads, heads_X_mean, heads_args, ("mean-for-sum", "constant-factor")),
        (0, heads, heads_X_last_head, heads_args, ("overwritten-duplicates", "missing-sum")),
        (0, heads, heads_X_folded_in_the_wrong_order, heads_args, ("vec-order",)),
        (1, heads, heads_W_right, heads_args, ()),
        (1, heads, heads_W_transposed, heads_args, ("transposed-layout",)),
        (1, heads, heads_W_cotangent_forgotten, heads_args, ("missing-cotangent",)),
        (0, scores, scores_Q_right, scores_args, ()),
        (0, scores, scores_Q_matmul, scores_args, ()),
        (0, scores, scores_Q_table_not_transposed, scores_square_args, ("operand-not-transposed",)),
        (
            0,
            scores,
            scores_Q_heads_left_in_front,
            scores_args,
            ("permutation-not-inverted", "transposed-layout"),
        ),
        (0, scores, scores_Q_gets_that_of_K, scores_square_args, ("wrong-argument",)),
        (0, scores, scores_Q_reshaped_back, scores_args, ("vec-order", "permutation-not-inverted")),
        (0, contracted, contracted_right, contracted_args, ()),
        (0, contracted, contracted_einsum, contracted_args, ()),
        (0, contracted, contracted_not_transposed, contracted_square_args, ("transposed-layout",)),
        (0, contracted, contracted_cotangent_forgotten, contracted_args, ("missing-cotangent",)),
        (0, contracted, contracted_one_cotangent, contracted_args, ("flattened-batch",)),
    ]
]

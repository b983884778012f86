"""The columns of the four CSV files, in their order, and which of them a comparison leaves out.

The order up to each ``EXTRA`` is the published interface; a new column goes to the end.
"""

from __future__ import annotations

VOLATILE = frozenset(
    {
        "train_s",
        "attack_s",
        "models_s",
        "sample_s",
        "quality_s",
        "samples_per_s",
        "peak_mem_mib",
        "gpu_peak_mem_mib",
        "device",
        "arithmetic",
        "costs",
    }
)
"""Cost: columns (and keys of the JSON's rows) that differ from one run to the next and are never compared.

The precision of the arithmetic is called ``arithmetic`` here, because ``precision`` is a measure of quality.
"""

VOLATILE_KEYS = frozenset({"stamp", "matrix", "plugins"})
"""Keys at the top of ``leaderboard.json`` that are not compared: versions and time, and words: what plugins say of
themselves, and the matrix's own, since a comment in it changes no result (``settings`` has what does)."""

ROW = ("dataset", "target", "defense")
"""What names a row of the leaderboard."""

ACCESS_COLUMNS = ("samples", "latent", "decision", "white_box", "updates")
"""Access levels with an ``auc_`` column of their own on the leaderboard."""

LEADERBOARD_EXTRA = (
    "status",
    "trials",
    "members",
    "nonmembers",
    "smallest_detectable_auc",
    "attacks_run",
    "attacks_not_run",
    "undefended_auc",
    "undefended_kid",
    "kid_real",
    "kid_untrained",
    "quality_extractor",
    "quality_n",
    "claim_unit",
    "claim_adjacency",
    "claim_accountant",
    "claim_epsilon_rdp",
    "claim_void_reason",
    "utility",
    "utility_real",
    "marginal_distance",
    "marginal_distance_low",
    "marginal_distance_high",
    "correlation_distance",
    "correlation_distance_low",
    "correlation_distance_high",
    "member_proximity",
    "member_proximity_low",
    "member_proximity_high",
    "marginal_distance_real",
    "marginal_distance_untrained",
    "correlation_distance_real",
    "correlation_distance_untrained",
    "undefended_marginal_distance",
    *(f"auc_{level}_{end}" for level in ACCESS_COLUMNS for end in ("low", "high")),
    "undefended_auc_at_equal_kid",
    "undefended_auc_at_equal_kid_low",
    "undefended_auc_at_equal_kid_high",
    "equal_kid_step",
    "equal_kid",
    "equal_kid_attack",
    "epsilon_estimate",
    "epsilon_detectable",
    "epsilon_attack",
    "audit_delta",
    "membership",
)

LEADERBOARD = (
    *ROW,
    "worst_attack",
    "access",
    "auc",
    "auc_low",
    "auc_high",
    "auc_seed_low",
    "auc_seed_high",
    "auc_samples",
    "auc_latent",
    "auc_decision",
    "auc_white_box",
    "auc_updates",
    "accuracy",
    "tpr_at_1pct_fpr",
    "epsilon_claimed",
    "delta",
    "epsilon_lower_bound",
    "kid",
    "kid_low",
    "kid_high",
    "fid",
    "precision",
    "recall",
    "density",
    "coverage",
    "seeds",
    "diverged_runs",
    "collapsed_runs",
    "quality_spread",
    "loss_oscillation",
    "train_s",
    "peak_mem_mib",
    "device",
    "rank",
    "flags",
    "verdict",
    *LEADERBOARD_EXTRA,
)
"""``leaderboard.csv``: a row per data set x target x defense."""

MEASURES = (
    "auc",
    "accuracy",
    "tpr_at_1pct_fpr",
    "tpr_at_0_1pct_fpr",
    "advantage",
    "set_auc",
    "set_accuracy",
    "balanced_accuracy",
)
"""The privacy measures that have intervals."""

INTERVALS = ("", "_low", "_high", "_seed_low", "_seed_high")
"""What a measure's columns end with: itself, over records, over training runs."""

ATTACKS = (
    *ROW,
    "attack",
    "access",
    "knowledge",
    "adaptive",
    "members",
    "nonmembers",
    "seeds",
    *(measure + ending for measure in MEASURES for ending in INTERVALS),
    "attack_s",
    "flags",
    "status",
    "reason",
    "control",
    "models_trained",
    "accuracy_chance",
    "advantage_null",
    "realised_fpr_at_1pct",
    "realised_fpr_at_0_1pct",
    "tied_fraction",
    "known",
    "models_s",
    "part_accuracy",
    "part_accuracy_low",
    "part_accuracy_high",
    "part_chance",
    "epsilon_lower_bound",
    "epsilon_estimate",
    "epsilon_detectable",
    "part_accuracy_seed_low",
    "part_accuracy_seed_high",
)
"""``attacks.csv``: a row per data set x target x defense x attack.

``models_s`` is what training and sampling the models that an attack asks for cost, whoever else shares them: a shared
model is counted in every attack that uses it, so the column does not add up over attacks.

``part_accuracy``, where a defense divides the members into parts (clients, pairs): the share of the members whose part
the attack names, with Wilson's 95 % interval over members; ``part_chance`` is the share of the largest part.
"""

SET_MEASURES = ("set_auc", "set_accuracy", "mean_set_auc")
"""What is measured of sets of one size, with intervals; ``mean_set_auc`` is by the mean score of a set's records."""

SETS = (
    *ROW,
    "attack",
    "size",
    "member_sets",
    "nonmember_sets",
    "seeds",
    "own_score",
    *(measure + ending for measure in SET_MEASURES for ending in INTERVALS),
    "set_accuracy_chance",
    "control",
)
"""``sets.csv``: a row per completed row of ``attacks.csv`` and size of sets."""

QUALITY = (
    "kid",
    "kid_low",
    "kid_high",
    "fid",
    "precision",
    "recall",
    "density",
    "coverage",
    "memorization_gap",
    "memorization_gap_low",
    "memorization_gap_high",
    "memorization_n",
    "mode_count",
    "modes_real",
    "label_entropy",
    "extractor",
    "n",
    "k",
)
UTILITY = ("utility", "utility_real", "utility_n")
TABLE_QUALITY = (
    "marginal_distance",
    "marginal_distance_low",
    "marginal_distance_high",
    "marginal_worst",
    "marginal_worst_column",
    "correlation_distance",
    "correlation_distance_low",
    "correlation_distance_high",
    "member_proximity",
    "member_proximity_low",
    "member_proximity_high",
    "member_proximity_n",
)
"""What is measured of tables instead of ``QUALITY``, whose columns but ``n`` are empty there."""

STABILITY = (
    "diverged_step",
    "loss_oscillation",
    "grad_norm_spike",
    "kid_best",
    "kid_final",
    "kid_regression",
    "steps_to_best",
    "snapshots",
)
COST = (
    "train_s",
    "sample_s",
    "samples_per_s",
    "quality_s",
    "peak_mem_mib",
    "gpu_peak_mem_mib",
    "device",
    "arithmetic",
)

TRIALS = (
    *ROW,
    "seed",
    "status",
    *QUALITY,
    *STABILITY,
    "collapsed",
    *COST,
    "key",
    "reason",
    "epsilon_claimed",
    "delta",
    "claim_void_reason",
    "claim_unit",
    "claim_accountant",
    *UTILITY,
    *TABLE_QUALITY,
)
"""``trials.csv``: a row per data set x target x defense x seed."""

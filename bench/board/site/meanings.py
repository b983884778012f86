"""What each column of the four CSV files means, in a sentence: with unit or range, and which end is the better one."""

from __future__ import annotations

from bench.board.columns import ACCESS_COLUMNS, ATTACKS, INTERVALS, LEADERBOARD, SETS, TRIALS

_ENDS = {
    "_low": "Lower end of the 95 % interval of {} over {}, given these trained models.",
    "_high": "Upper end of the 95 % interval of {} over {}, given these trained models.",
    "_seed_low": "Lower end of the 95 % interval of {} over training runs; empty with fewer than three.",
    "_seed_high": "Upper end of the 95 % interval of {} over training runs; empty with fewer than three.",
}


def _with_ends(name: str, text: str, endings: tuple[str, ...] = INTERVALS, over: str = "records") -> dict[str, str]:
    return {name + end: text if end == "" else _ENDS[end].format(name, over) for end in endings}


_OVER_RECORDS = ("", "_low", "_high")

_PLACE = {
    "dataset": "The data set, with what its options add to its name.",
    "target": "The generative model, with the options that the matrix sets.",
    "defense": "The defense, or several joined by +; none is the undefended model.",
}

_PRIVACY = {
    **_with_ends("auc", "Probability that a member scores above a non-member, 0 to 1; .5 is chance, lower is better."),
    **_with_ends(
        "accuracy",
        "Share of true members among as many highest scores as there are members, 0 to 1; chance is accuracy_chance, "
        "lower is better.",
    ),
    **_with_ends(
        "tpr_at_1pct_fpr",
        "Largest share of members found while at most 1 % of non-members are accused, 0 to 1; empty below 1,000 "
        "non-members, lower is better.",
    ),
    **_with_ends(
        "tpr_at_0_1pct_fpr",
        "Largest share of members found while at most .1 % of non-members are accused, 0 to 1; empty below 10,000 "
        "non-members, lower is better.",
    ),
    **_with_ends(
        "advantage",
        "Largest difference of true- and false-positive rate, 0 to 1; read against advantage_null, as it is never 0; "
        "lower is better.",
    ),
    **_with_ends(
        "set_auc",
        "AUC of whole sets of records that are all in or all out, 0 to 1; .5 is chance, lower is better.",
        over="sets",
    ),
    **_with_ends(
        "set_accuracy",
        "Accuracy of whole sets, 0 to 1; chance is the share of member sets, lower is better.",
        over="sets",
    ),
    **_with_ends(
        "balanced_accuracy",
        "Mean of the shares of members and of non-members that are called right, with as many called members as there "
        "are, 0 to 1; .5 is chance, lower is better.",
    ),
}

_RECORDS = {
    "members": "Candidates that the model was trained on.",
    "nonmembers": "Candidates that it was not trained on.",
}

_QUALITY = {
    **_with_ends(
        "kid",
        "1,000 x unbiased kernel distance of generated to held-out real images; may be negative, lower is better.",
        _OVER_RECORDS,
    ),
    "fid": "Fréchet distance of generated to held-out real images, 0 or more; biased by their number, lower is better.",
    "precision": "Share of generated images that lie among real ones, 0 to 1; higher is better.",
    "recall": "Share of real images that lie among generated ones, 0 to 1; higher is better.",
    "density": "How densely generated images lie among real ones, 0 or more, about 1 for equal ones; higher is better.",
    "coverage": "Share of real images that have a generated one nearby, 0 to 1; higher is better.",
    "utility": (
        "Accuracy on real held-out records of a classifier trained on generated ones, 0 to 1; higher is better, empty "
        "where records are generated without labels."
    ),
    "utility_real": "The same of a classifier trained on as many real records, 0 to 1.",
    **_with_ends(
        "marginal_distance",
        "Mean distance of a table's columns to those of held-out real rows, 0 to 1; lower is better.",
        _OVER_RECORDS,
    ),
    **_with_ends(
        "correlation_distance",
        "Mean difference of the associations of a table's pairs of columns, 0 to 2; lower is better.",
        _OVER_RECORDS,
    ),
    **_with_ends(
        "member_proximity",
        "Share of generated rows nearer to a member than to any held-out row, less a half; 0 tells nothing of members, "
        ".5 is copies, lower is better.",
        _OVER_RECORDS,
    ),
    "loss_oscillation": "How unsteady the losses were in the second half of training, 1 to 49; lower is better.",
}

_COST = {
    "train_s": "Seconds of training; lower is cheaper, and never compared.",
    "peak_mem_mib": "Most memory of the steps behind it, in MiB; lower is cheaper, and never compared.",
    "device": "The kind of device that trained it.",
}

_CLAIM = {
    "epsilon_claimed": "Epsilon of the differential privacy that is claimed, 0 or more, at delta; lower is better.",
    "delta": "The delta of the claim, 0 to 1; lower is better.",
    "claim_void_reason": "Why a claim does not hold; empty where it does, or where nothing is claimed.",
    "claim_unit": "What the claim protects: a record, or a client with all that it holds.",
    "claim_accountant": "How the claimed epsilon was computed.",
}

_AUDIT = {
    "epsilon_lower_bound": (
        "Certified lower bound on epsilon, 0 or more, where fair coins decided who is a member; lower is better, and "
        "above the claim it refutes it."
    ),
    "epsilon_estimate": "Estimated lower limit of epsilon, 0 or more; certifies nothing, lower is better.",
    "epsilon_detectable": "What the bound (without coins: the estimate) would have been, had every guess been right.",
}

_STATUS = {
    "status": "completed, or why there is no figure: diverged, failed, blocked, missing, not_applicable.",
    "flags": "What a reader has to know before believing the row, joined by semicolons; see the legend of flags.",
}

_LEADERBOARD = {
    "worst_attack": "The attack that reads the row best, chosen on one half of the records and read on the other.",
    "access": "What that attack may touch; see the threat models.",
    "auc": "AUC of the worst attack, 0 to 1; .5 is chance, lower is better.",
    **{
        name: text
        for level in ACCESS_COLUMNS
        for name, text in _with_ends(
            f"auc_{level}",
            f"AUC of the worst attack with {level.replace('_', ' ')} access, 0 to 1; .5 is chance, lower is better.",
            _OVER_RECORDS,
        ).items()
    },
    "accuracy": "Accuracy of the worst attack, 0 to 1; chance is the share of members, lower is better.",
    "tpr_at_1pct_fpr": "TPR at 1 % FPR of the worst attack, 0 to 1; empty below 1,000 non-members, lower is better.",
    "seeds": "Training runs that were completed.",
    "diverged_runs": "Training runs that diverged; lower is better.",
    "collapsed_runs": "Completed runs that show a small part of the data only; lower is better.",
    "quality_spread": (
        "Standard deviation over training runs of the KID, of a table of its marginal distance, 0 or more; "
        "lower is better."
    ),
    "rank": "1 + the rows of the same data set that leak significantly less; lower is better.",
    "verdict": "What the row says, in plain words.",
    "trials": "Training runs that the matrix asked for.",
    "smallest_detectable_auc": "The smallest AUC that so many candidates tell from chance, .5 to 1; lower sees more.",
    "attacks_run": "The attacks that were completed, joined by semicolons.",
    "attacks_not_run": "The attacks that were not, each with its status, joined by semicolons.",
    "undefended_auc": "AUC of the same target without a defense, at the end of its training, 0 to 1.",
    "undefended_kid": "KID of the same target without a defense, at the end of its training.",
    "kid_real": "KID of real reference images: what real records would score.",
    "kid_untrained": "KID of the target before its first training step: the ceiling, where samples are useless.",
    "quality_extractor": "The network whose features are compared; figures of two extractors are not comparable.",
    "quality_n": "Records on each side of the comparison.",
    "claim_adjacency": "By what neighbouring data sets differ: one unit added or removed.",
    "claim_epsilon_rdp": "The claimed epsilon by a looser accountant (RDP), 0 or more.",
    "marginal_distance_real": "Marginal distance of real reference rows.",
    "marginal_distance_untrained": "Marginal distance of the target before its first training step.",
    "correlation_distance_real": "Correlation distance of real reference rows.",
    "correlation_distance_untrained": "Correlation distance of the target before its first training step.",
    "undefended_marginal_distance": "Marginal distance of the same target without a defense.",
    "undefended_auc_at_equal_kid": (
        "AUC of the undefended training where its samples were first as good as the row's, 0 to 1; a defense should "
        "leak less."
    ),
    "undefended_auc_at_equal_kid_low": "Lower end of its 95 % interval over records.",
    "undefended_auc_at_equal_kid_high": "Upper end of its 95 % interval over records.",
    "equal_kid_step": "Training steps that the undefended model had made there.",
    "equal_kid": "KID of that snapshot of the undefended model.",
    "equal_kid_attack": "The attack that reads that snapshot best, among those cheap enough to judge snapshots.",
    "epsilon_attack": "The attack whose bound is shown; where that is 0 or empty, the one whose estimate is.",
    "audit_delta": "The delta of all three audit columns, 0 to 1.",
    "membership": "How it was decided who is a member: fixed, or by a fair coin for each candidate.",
}

_ATTACK = {
    "attack": "The attack, with the options that the matrix sets.",
    "seeds": "Training runs on which the attack was completed.",
    "control": "Whether it is a control of the instrument, which never enters a headline.",
}

_ATTACKS = {
    **_ATTACK,
    "access": "What the attack may touch; see the threat models.",
    "knowledge": "What the attacker knows besides; see the threat models.",
    "adaptive": "Whether the defense names this attack as made against it.",
    "attack_s": "Seconds of the attack on one run, mean; lower is cheaper, and never compared.",
    "reason": "Why runs have no figure; empty where all were completed.",
    "models_trained": "Models that the attack asked for.",
    "accuracy_chance": "The accuracy of guessing: the share of members among the candidates, 0 to 1.",
    "advantage_null": "95 % quantile of the advantage of a score that knows nothing, 0 to 1.",
    "realised_fpr_at_1pct": "The share of non-members that is accused at tpr_at_1pct_fpr, 0 to .01.",
    "realised_fpr_at_0_1pct": "The share of non-members that is accused at tpr_at_0_1pct_fpr, 0 to .001.",
    "tied_fraction": "Share of candidates whose score another one has too, 0 to 1, in the run with most.",
    "known": "Candidates whose truth the attacker was told; they are not judged.",
    "models_s": "Seconds behind the models that it asked for, mean; shared models count in every attack.",
    "part_accuracy": (
        "Share of members whose part (client, pair) the attack names, 0 to 1, where a defense divides them; lower is "
        "better."
    ),
    "part_accuracy_low": "Lower end of its 95 % interval over members.",
    "part_accuracy_high": "Upper end of its 95 % interval over members.",
    "part_accuracy_seed_low": "Lower end of its 95 % interval over training runs; empty with fewer than three.",
    "part_accuracy_seed_high": "Upper end of its 95 % interval over training runs; empty with fewer than three.",
    "part_chance": "Share of the largest part, 0 to 1: what always naming that one would reach.",
}

_SETS = {
    **_ATTACK,
    "size": "Records of a set.",
    "member_sets": "Sets of members.",
    "nonmember_sets": "Sets of non-members.",
    "own_score": "Whether the attack has a score of its own for sets; else a set scores the mean of its records.",
    **_with_ends(
        "mean_set_auc", "AUC of sets by the mean score of their records, 0 to 1; .5 is chance, lower is better."
    ),
    "set_accuracy_chance": "The share of member sets, 0 to 1: the set accuracy of guessing.",
}

_TRIALS = {
    "seed": "The seed of the training run.",
    **_with_ends(
        "memorization_gap",
        "KID to the held-out images less KID to the members; above 0 where samples are closer to the members, lower is "
        "better.",
        _OVER_RECORDS,
    ),
    "memorization_n": "Records on each side of the memorization gap.",
    "mode_count": "Classes that the samples show at half of their share or more; higher is better.",
    "modes_real": "Classes among the real records.",
    "label_entropy": "Entropy of the samples' classes, in nats; log of modes_real where shares are equal.",
    "extractor": "The network whose features are compared; figures of two extractors are not comparable.",
    "n": "Records on each side of the comparison.",
    "k": "Neighbours of precision, recall, density and coverage.",
    "diverged_step": "The training step at which divergence was seen; empty for a completed run.",
    "grad_norm_spike": "99th percentile over median of the gradient norms, 1 or more; lower is better.",
    "kid_best": "KID of the best snapshot; lower is better.",
    "kid_final": "KID of the last snapshot, on the same records; lower is better.",
    "kid_regression": "kid_final - kid_best: how much was lost again; lower is better.",
    "steps_to_best": "Training steps at the best snapshot.",
    "snapshots": "Number of snapshots.",
    "collapsed": "Whether the samples show a small part of the data only.",
    "sample_s": "Seconds of sampling; lower is cheaper, and never compared.",
    "samples_per_s": "Records generated a second; higher is cheaper, and never compared.",
    "quality_s": "Seconds of measuring quality; never compared.",
    "gpu_peak_mem_mib": "Most memory on the GPU, in MiB; lower is cheaper, and never compared.",
    "arithmetic": "The precision of the arithmetic that trained it.",
    "key": "The identity of the run: a hash of everything that changes its result.",
    "reason": "Why the run has no figure; empty where it was completed.",
    "utility_n": "Records that each of the two classifiers of utility was trained on.",
    "marginal_worst": "The largest marginal distance of a column, 0 to 1; lower is better.",
    "marginal_worst_column": "The column that it belongs to.",
    "member_proximity_n": "Rows, members and held-out rows that member proximity was read from.",
}

SHARED = {**_PLACE, **_PRIVACY, **_RECORDS, **_QUALITY, **_COST, **_CLAIM, **_AUDIT, **_STATUS}
"""Column -> what it means in every file that has it, but for those in ``OWN``."""

OWN = {
    "leaderboard.csv": _LEADERBOARD,
    "attacks.csv": _ATTACKS,
    "sets.csv": _SETS,
    "trials.csv": _TRIALS,
}
"""File -> meanings of columns that differ from those shared by all files, or are of this file alone."""

COLUMNS = {"leaderboard.csv": LEADERBOARD, "attacks.csv": ATTACKS, "sets.csv": SETS, "trials.csv": TRIALS}

MEANINGS = {
    file: {column: OWN[file][column] if column in OWN[file] else SHARED[column] for column in columns}
    for file, columns in COLUMNS.items()
}
"""File -> column -> what it means, in the order of the file."""

"""The parameters that make this package's estimators the plain networks of its peers, whatever the defaults are."""

PLAIN = {
    "bidirectional": False,
    "readout": "last",
    "normalize_features": False,
    "normalize_readout": False,
    "patch_size": 1,
    "learning_rate": "constant",
    "learning_rate_init": 0.003,
    "clip_norm": 1.0,
    "clip_update": None,
    "beta_2": 0.999,
}

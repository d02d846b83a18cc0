"""How the help of `bicinium compose` is ordered, and its examples."""

COMPOSE_PANELS = {
    "The piece": (
        "n", "bars", "key", "meter", "tempo", "style", "seed", "title", "composer",
        "canon", "invertible",
    ),
    "Your own music": (
        "upper", "lower", "continue_from", "rewrite", "rewrite_bars", "subject", "answer",
        "quantize", "unfold",
    ),
    "Files": ("out", "formats", "perform", "force", "as_json", "streamed"),
    "How it is composed": (
        "best_of", "temperature", "top_p", "top_k", "min_p", "guidance", "motif_strength",
        "constraint", "no_constraints", "rules", "max_quote", "time_limit",
        "no_grammar", "model",
    ),
}  # fmt: skip

# A blank line between two lines keeps them apart.
COMPOSE_EXAMPLES = """\
Examples:

bicinium compose --key "D minor" --meter 3/4 --bars 16 --seed 7

bicinium compose --upper tune.musicxml --formats mid,musicxml

bicinium compose --subject "D4:1/8 E4:1/8 F4:1/4" --key "D minor" -n 1

Metres: 2/4, 3/4, 4/4, 2/2, 3/8, 6/8, 9/8, 12/8, 6/4, 3/2, 4/8, 4/2, 5/4, 5/8, 2/8, 6/16, 9/16,
12/16.

Styles: bach, baroque, classical, romantic, study, song, accompaniment, quartet, chorale,
monteverdi, corelli.
"""

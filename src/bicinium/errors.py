"""What can go wrong, for callers to catch.

BiciniumError               everything below
├── ScoreError              music that is not what a two-voice score can be
│   ├── MidiFileError       a file that is not readable MIDI
│   └── NotationFileError   a file that is not readable notation
├── TokenError              a score the vocabulary cannot spell, or tokens that spell none
├── GrammarError            a grammar that contradicts itself, or a budget it cannot meet
│   └── DeadEndError        a state in which the rules together forbid every token
├── CorpusError             a corpus that is absent, empty or unreadable
├── CheckpointError         weights that do not fit this program
├── ConfigError             a configuration that cannot be run
├── CollapseError           a training run that could not be saved
├── RequestError            a piece that was asked for in terms nothing can meet
└── CancelledError          composing that was stopped by whoever asked for it

Every message is one sentence: what is wrong, where, and what to do.
"""


class BiciniumError(Exception):
    """Base of all errors raised on purpose by bicinium."""


class ScoreError(BiciniumError):
    """Music that a two-voice score cannot hold."""


class MidiFileError(ScoreError):
    """A file that cannot be read as MIDI."""


class NotationFileError(ScoreError):
    """A file that cannot be read as notation."""


class TokenError(BiciniumError):
    """A score that the vocabulary cannot spell, or tokens that spell no score."""


class GrammarError(BiciniumError):
    """A grammar that contradicts itself, or a budget that no piece can meet."""


class DeadEndError(GrammarError):
    """A state in which the rules together forbid every token."""


class CorpusError(BiciniumError):
    """A corpus that is absent, empty or unreadable."""


class CheckpointError(BiciniumError):
    """Weights that do not fit this program."""


class ConfigError(BiciniumError):
    """A configuration that cannot be run."""


class CollapseError(BiciniumError):
    """A training run that collapsed more often than it may be rolled back."""


class RequestError(BiciniumError):
    """A request that no piece can meet."""


class CancelledError(BiciniumError):
    """Composing that was stopped by whoever asked for it."""

"""The exceptions that bicinium raises on purpose.

BiciniumError               base class
├── ScoreError              music that a two-voice score cannot represent
│   ├── MidiFileError       a file that is not readable MIDI
│   ├── ReaderFaultError    a file that broke its reader
│   ├── ReductionNeededError  more than one section of two voices on the grid
│   └── NotationFileError   a file that is not readable notation
├── TokenError              a score that cannot be encoded, or tokens that cannot be decoded
├── GrammarError            contradictory rules, or a token budget that is too small
│   └── DeadEndError        a state in which the rules forbid every token
├── CorpusError             a corpus that is missing, empty or unreadable
├── CheckpointError         weights that do not fit this version
├── ConfigError             an invalid training configuration
├── FolderInUseError        a folder that another process writes to
├── RunWriteError           a training run whose folder cannot be written to
├── CollapseError           a training run that kept collapsing
├── RequestError            a request that cannot be fulfilled
│   └── IncompleteError     some pieces could not be composed (generation/composition.py)
├── LiveError               a MIDI or OSC port that cannot be used
└── CancelledError          a composition that was cancelled

A message names the problem, the value and the fix, in one line of text. The command line prints
it after ``bicinium:`` and exits with status 2 (1 for CollapseError).
"""


class BiciniumError(Exception):
    """Base class of all errors that bicinium raises on purpose."""


class ScoreError(BiciniumError):
    """Music that a two-voice score cannot represent, such as overlapping notes in one voice."""


class ReductionNeededError(ScoreError):
    """A file that is more than one section of two voices on the grid; it can be reduced.

    The message names the shell command that reduces it. ``problem`` is the message without the
    command, for interfaces that offer the reduction in another way.
    """

    def __init__(self, problem: str, command: str) -> None:
        super().__init__(problem, command)
        self.problem = problem
        self.command = command

    def __str__(self) -> str:
        return f"{self.problem} {self.command}"


class ReaderFaultError(ScoreError):
    """A file that broke its reader in a way that nobody foresaw: a fault of bicinium."""


class MidiFileError(ScoreError):
    """A file that is not readable MIDI."""


class NotationFileError(ScoreError):
    """A file that is not readable notation, such as MusicXML or kern."""


class TokenError(BiciniumError):
    """A score that the vocabulary cannot encode, or tokens that do not decode to a score."""


class GrammarError(BiciniumError):
    """Contradictory rules, or a token budget that is too small for the requested piece."""


class DeadEndError(GrammarError):
    """A grammar state in which the rules together forbid every token."""


class CorpusError(BiciniumError):
    """A corpus that is missing, empty or unreadable."""


class CheckpointError(BiciniumError):
    """Weights or metadata that do not fit this version of the model."""


class ConfigError(BiciniumError):
    """An invalid training configuration."""


class CollapseError(BiciniumError):
    """A training run that collapsed more often than the configuration allows."""


class FolderInUseError(BiciniumError):
    """A folder of a run or a corpus that another process is writing to."""


class RunWriteError(BiciniumError):
    """A training run whose folder cannot be written to, for instance because the disk is full."""


class RequestError(BiciniumError):
    """A request that cannot be fulfilled: an invalid option, or options that conflict."""


class MissingExtraError(RequestError):
    """A library of an extra that is not installed."""


class CancelledError(BiciniumError):
    """A composition that the caller cancelled."""


def describe_fault(error: Exception) -> str:
    """Return the sentences about an exception that nobody foresaw while a file was read."""
    return f"It broke bicinium ({type(error).__name__}: {error}). Please report it."


class LiveError(BiciniumError):
    """A MIDI or OSC port that cannot be used, or that has gone."""

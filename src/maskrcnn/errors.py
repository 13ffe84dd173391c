"""Every exception that this package raises on purpose.

```
MaskRCNNError
├── ConfigError       (ValueError)         a setting is unknown or out of range
├── DataError         (ValueError)         data that people bring; `code` names the finding
│   ├── AnnotationError                    an annotation file or a record in it is wrong
│   │   └── FormatError                    no known annotation format fits the file or folder
│   └── ImageError                         a picture is missing, broken, or of a kind that can't be read
├── WeightsError      (ValueError)         a weight file is not what it should be
├── InputError        (ValueError)         an argument of a call or of the command line is wrong
└── OutputError       (OSError)            a result can't be written
```

Sentences follow one pattern: what, expected this, got that, and a hint where one is certain, with the file and
the annotation id. The command line prints that sentence and exits with status 2; `--debug` shows the traceback.
"""

from collections.abc import Iterable


class MaskRCNNError(Exception):
    """Any error raised on purpose by this package."""


class ConfigError(MaskRCNNError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class DataError(MaskRCNNError, ValueError):
    """Something about data that people bring is wrong.

    Attributes:
        code: Which finding of `maskrcnn data doctor` this is.
    """

    usual = "F003"

    def __init__(self, *args: object, code: str | None = None) -> None:
        super().__init__(*args)
        self.code = self.usual if code is None else code


class AnnotationError(DataError):
    """An annotation file, or a record in it, is wrong."""


class FormatError(AnnotationError):
    """No known annotation format fits the file or folder."""

    usual = "F002"


class ImageError(DataError):
    """A picture is missing, broken, or of a kind that can't be read."""

    usual = "P102"


class WeightsError(MaskRCNNError, ValueError):
    """A weight file is not what it should be."""


class InputError(MaskRCNNError, ValueError):
    """An argument of a call or of the command line is wrong."""


class OutputError(MaskRCNNError, OSError):
    """A result can't be written."""


def few(names: Iterable[object], most: int) -> str:
    """Name the first few in a sentence, with dots where there are more.

    >>> few(["a", "b"], 2), few(["a", "b", "c"], 2)
    ('a, b', 'a, b, ...')
    """
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")

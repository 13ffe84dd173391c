"""Every exception that this package raises on purpose.

```
MaskRCNNError
├── ConfigError       (ValueError)         a setting is unknown or out of range
├── AnnotationError   (ValueError)         an annotation file or a record in it is wrong
├── FormatError       (AnnotationError)    no known annotation format fits the file or folder
├── ImageError        (ValueError)         a picture is missing, broken, or of a kind that can't be read
├── WeightsError      (ValueError)         a weight file is not what it should be
├── InputError        (ValueError)         an argument of a call or of the command line is wrong
└── OutputError       (OSError)            a result can't be written
```

Sentences follow one pattern: what, expected this, got that, and a hint where one is certain, with the file and
the annotation id. The command line prints that sentence and exits with status 2; `--debug` shows the traceback.
"""


class MaskRCNNError(Exception):
    """Any error raised on purpose by this package."""


class ConfigError(MaskRCNNError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class AnnotationError(MaskRCNNError, ValueError):
    """An annotation file, or a record in it, is wrong."""


class FormatError(AnnotationError):
    """No known annotation format fits the file or folder."""


class ImageError(MaskRCNNError, ValueError):
    """A picture is missing, broken, or of a kind that can't be read."""


class WeightsError(MaskRCNNError, ValueError):
    """A weight file is not what it should be."""


class InputError(MaskRCNNError, ValueError):
    """An argument of a call or of the command line is wrong."""


class OutputError(MaskRCNNError, OSError):
    """A result can't be written."""

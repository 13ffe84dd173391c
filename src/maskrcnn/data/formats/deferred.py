"""A mask that is read when it is asked for, as where it lies in a picture of its own."""

from __future__ import annotations

from collections.abc import Callable

from maskrcnn.data.dataset import Runs


class Deferred(Runs):
    """Run lengths that are made once, when somebody needs them.

    A set whose masks are pictures opens as fast as one with boxes. Can be pickled, without what was made.
    """

    __slots__ = ("_key", "_made", "_make")
    _make: Callable[[], Runs]
    _made: Runs | None
    _key: bytes

    def __init__(self, make: Callable[[], Runs], key: bytes = b"") -> None:
        """Take what makes them.

        Args:
            make: Makes them, and raises a `DataError` where it can't; can be pickled.
            key: What changes when they do, such as the size of a file, for a fingerprint that need not make them.
        """
        object.__setattr__(self, "_make", make)
        object.__setattr__(self, "_made", None)
        object.__setattr__(self, "_key", key)

    @property
    def runs(self) -> Runs:
        """The run lengths themselves."""
        if self._made is None:
            object.__setattr__(self, "_made", self._make())
        assert self._made is not None
        return self._made

    @property
    def counts(self) -> str:
        """The string."""
        return self.runs.counts

    @property
    def pixels(self) -> int:
        """How many pixels are set."""
        return self.runs.pixels

    def to_bytes(self) -> bytes:
        """Return what a fingerprint is made of: the key, where there is one."""
        return self._key or super().to_bytes()

    def __reduce__(self) -> tuple[type[Deferred], tuple[Callable[[], Runs], bytes]]:
        return Deferred, (self._make, self._key)

"""What holds samples, for checkers of types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Array(Protocol):
    """An array of numpy: that it is a buffer is said by its types for Python 3.12 and newer only."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """How its memory is laid out."""
        ...


Samples: TypeAlias = "Buffer | Array"
"""Bytes of 16-bit samples, little-endian, or an array of int16 or float32."""

"""The ramp of confidences from 0 to 1: a colour, an ink on that colour, and a bar, since colour alone is not enough.

The colours are viridis (Smith and van der Walt, 2015), whose order is visible to colour-blind eyes and in grey.
"""

from typing import NamedTuple

_VIRIDIS = tuple(
    (int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16))
    for code in [
        "440154",
        "482475",
        "414487",
        "355f8d",
        "2a788e",
        "21918c",
        "22a884",
        "44bf70",
        "7ad151",
        "bddf26",
        "fde725",
    ]
)
_BARS = "▁▂▃▄▅▆▇█"


class Colour(NamedTuple):
    """A colour: red, green and blue, each 0…255."""

    red: int
    green: int
    blue: int

    @property
    def hex(self) -> str:
        """The hexadecimal form, such as `#2a788e`."""
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"

    @property
    def ink(self) -> "Colour":
        """Black or white, the one with more contrast on this colour (WCAG relative luminance)."""
        linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in self]
        luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return Colour(255, 255, 255) if luminance < 0.179 else Colour(0, 0, 0)


def share(confidence: float) -> float:
    """Limit a confidence to 0…1; NaN becomes 0."""
    return min(1.0, max(0.0, confidence)) if confidence == confidence else 0.0


def colour(confidence: float) -> Colour:
    """Return the colour of a confidence, linear between the anchors of the ramp."""
    place = share(confidence) * (len(_VIRIDIS) - 1)
    low = min(int(place), len(_VIRIDIS) - 2)
    part = place - low
    return Colour(*(round(a + (b - a) * part) for a, b in zip(_VIRIDIS[low], _VIRIDIS[low + 1], strict=True)))


def mix(front: Colour, back: Colour, part: float) -> Colour:
    """Mix the share `part` of `front` with `back`."""
    return Colour(*(round(part * f + (1 - part) * b) for f, b in zip(front, back, strict=True)))


def bar(confidence: float) -> str:
    """Return one of eight bars, from `▁` to `█`."""
    return _BARS[min(7, int(8 * share(confidence)))]


def percent(confidence: float) -> str:
    """Return `93%`; from 99.5 to 99.95 % the text is `>99%`, so that `100%` is never a rounded 99.9."""
    whole = share(confidence) * 100
    return ">99%" if 99.5 <= whole < 99.95 else f"{whole:.0f}%"

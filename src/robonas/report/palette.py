"""Colours of the page and of its charts: each once, by what it stands for, as (light, dark)."""

from __future__ import annotations

PALETTE: dict[str, tuple[str, str]] = {
    "paper": ("#fbfaf7", "#15181c"),
    "surface": ("#ffffff", "#1c2025"),
    "ink": ("#1d2127", "#e9e6e0"),
    "muted": ("#5b636d", "#a3abb5"),
    "line": ("#e2ded6", "#323840"),
    "explore": ("#5a52c7", "#a49dfb"),
    "exploit": ("#0a7770", "#4cc4ba"),
    "baseline": ("#858b94", "#949ca7"),
    "negative": ("#b3501f", "#f0945f"),
    "failure": ("#b8293d", "#ff7d86"),
    "winner": ("#b27a00", "#f4bf4f"),
    "option-0": ("#0a7771", "#4cc4bb"),
    "option-1": ("#b35020", "#f09460"),
    "option-2": ("#5a52c8", "#a49dfc"),
    "option-3": ("#a8327d", "#ef8fcb"),
    "option-4": ("#3a6ea5", "#7fb4ea"),
    "option-5": ("#5f7a16", "#a9c75a"),
    "option-6": ("#8a5a2b", "#d0a06c"),
    "option-7": ("#4d5966", "#b4bec9"),
}
"""Light values are all different, since charts are drawn in them and the page looks up the dark ones by them."""

N_OPTIONS = sum(name.startswith("option-") for name in PALETTE)
"""Number of options of a choice that can be told apart by colour; more begin again."""


def light(name: str) -> str:
    """Return a colour of the light page, in which charts are drawn."""
    return PALETTE[name][0]


def css() -> dict[str, str]:
    """Return custom properties of the light and of the dark page, as declarations."""
    return {
        theme: " ".join(f"--{name}: {pair[place]};" for name, pair in PALETTE.items())
        for place, theme in enumerate(("light", "dark"))
    }


def to_dark() -> dict[str, str]:
    """Return the dark colour of each light one."""
    return dict(PALETTE.values())

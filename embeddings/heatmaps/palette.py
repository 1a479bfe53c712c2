"""The colours of heatmaps, weak to strong."""

# Viridis, by ten of its colours: even steps look even, in print, and to people who do not tell
# red from green.
COLOURS = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58",
    "#b5de2b", "#fde725",
)  # fmt: skip

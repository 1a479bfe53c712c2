"""Colour palette of heatmaps, from weak to strong."""

# Ten colours of viridis: perceptually uniform, also in print and for people with red-green
# colour blindness.
COLOURS = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58",
    "#b5de2b", "#fde725",
)  # fmt: skip

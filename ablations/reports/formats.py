"""What a figure can be written as. Without matplotlib, so that a command which draws nothing does not import it."""

PICTURES = ("svg", "pdf", "png")

"""Speed: compared with PyTorch, and as depth and the number of runs grow. Not part of the package; see NOTES.md."""

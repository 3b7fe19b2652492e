"""What XLA's compilers make of a training step for a GPU or a TPU, which need not be here."""

"""Studies: one file each. Ships in the wheel as `ablations.sweeps`."""

"""The paper's figures as data. Ships in the wheel as `ablations.results`."""
